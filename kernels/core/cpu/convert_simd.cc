#include "kernels/core/cpu/convert_simd.h"

#include "kernels/core/cpu/lanes.h"

namespace birkhoff::cpu {
namespace {

template <class To, class From>
void convert(To* to, const From* from, int64_t count) {
  for_lanes(count, [&](int64_t i, int64_t n) { store_lanes(to + i, load_lanes(from + i, n), n); });
}

}  // namespace

template <>
ConvertKernels convert_kernels<kThisIsa>() {
  return {convert<bfloat16, float>, convert<float, bfloat16>};
}

}  // namespace birkhoff::cpu

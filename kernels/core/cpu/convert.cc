#include "kernels/core/cpu/convert.h"

#include <algorithm>

#include "kernels/core/cpu/convert_simd.h"

namespace birkhoff::cpu {
namespace {

const ConvertKernels& kernels() {
  static const auto kernels = on_best_isa([]<Isa isa>() { return convert_kernels<isa>(); });
  return kernels;
}

}  // namespace

void convert(bfloat16* to, const float* from, int64_t count) { kernels().narrow(to, from, count); }
void convert(float* to, const bfloat16* from, int64_t count) { kernels().widen(to, from, count); }
void convert(float* to, const float* from, int64_t count) { std::copy_n(from, count, to); }
void convert(bfloat16* to, const bfloat16* from, int64_t count) { std::copy_n(from, count, to); }

}  // namespace birkhoff::cpu

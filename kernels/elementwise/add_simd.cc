#include "kernels/core/cpu/simd.h"
#include "kernels/elementwise/elementwise_simd.h"

namespace birkhoff::cpu {
namespace {

template <class T>
void read(float* sum, const T* x, float factor, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sum[i] = factor * load(x + i);
}
template <class T>
void accumulate(float* sum, const T* x, float factor, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sum[i] += factor * load(x + i);
}
template <class T>
void write(T* y, const float* sum, int64_t count) {
  for (int64_t i = 0; i < count; ++i) store(y + i, sum[i]);
}

}  // namespace

template <>
AddBlock add_block<kThisIsa>() {
  return {read<float>, read<bfloat16>, accumulate<float>, accumulate<bfloat16>, write<float>, write<bfloat16>};
}

}  // namespace birkhoff::cpu

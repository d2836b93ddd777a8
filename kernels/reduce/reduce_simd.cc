#include "kernels/reduce/reduce_simd.h"

#include "kernels/core/cpu/simd.h"

namespace birkhoff::cpu {
namespace {

[[gnu::always_inline]] inline double load(const double* p) { return *p; }
using birkhoff::load;

template <class T>
double sum_of_squares(const T* x, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double v = load(x + i);
    sum += v * v;
  }
  return sum;
}

// As integers, the bits of |x| are ordered like |x|, and those of a NaN are above all others.
[[gnu::always_inline]] inline uint32_t magnitude(const float* p) {
  return __builtin_bit_cast(uint32_t, *p) & 0x7fffffffu;
}
[[gnu::always_inline]] inline uint32_t magnitude(const bfloat16* p) { return (p->bits & 0x7fffu) << 16; }
[[gnu::always_inline]] inline uint64_t magnitude(const double* p) {
  return __builtin_bit_cast(uint64_t, *p) & 0x7fffffffffffffffull;
}
double value_of(uint32_t bits) { return __builtin_bit_cast(float, bits); }
double value_of(uint64_t bits) { return __builtin_bit_cast(double, bits); }

template <class T>
double abs_max(const T* x, int64_t count) {
  auto largest = decltype(magnitude(x)){0};
  for (int64_t i = 0; i < count; ++i) {
    const auto m = magnitude(x + i);
    largest = m > largest ? m : largest;
  }
  return value_of(largest);
}

}  // namespace

template <>
ReduceRun<float> reduce_run<kThisIsa, float>() {
  return {sum_of_squares<float>, abs_max<float>};
}
template <>
ReduceRun<bfloat16> reduce_run<kThisIsa, bfloat16>() {
  return {sum_of_squares<bfloat16>, abs_max<bfloat16>};
}
template <>
ReduceRun<double> reduce_run<kThisIsa, double>() {
  return {sum_of_squares<double>, abs_max<double>};
}

}  // namespace birkhoff::cpu

#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Most tokens that share a load of fn.
inline constexpr int64_t kHyperGroup = 8;

// Row kernels of the coefficients for one instruction set. N = S*C values a token, R rows of fn.
template <class T>
struct HyperCoefficientRows {
  // fn in the order that `mixes` reads, packed_count(R, N) floats.
  int64_t (*packed_count)(int64_t R, int64_t N);
  void (*pack)(float* packed, const float* fn, int64_t R, int64_t N);
  // mixes = rstd <fn, x>; `work` holds kHyperGroup * N floats. In f32 also for bf16 x: splitting fn into two bf16 terms
  // and multiplying pairs was 1.6 times slower on Sapphire Rapids.
  void (*mixes)(float* mixes, float* rstd, const T* x, const float* packed, int64_t rows, int64_t R, int64_t N,
                float eps, float* work);
  // dx_i += pre_i dh + draw fn - shrink x. dh may be null.
  void (*input_gradient)(T* dx, const T* x, const T* dh, const float* pre, const float* draw, const float* shrink,
                         const float* fn, int64_t rows, int64_t R, int64_t S, int64_t C);
  // Columns [begin, end) of dfn += draw^T x, tokens in ascending order.
  void (*weight_gradient)(float* dfn, const float* draw, const T* x, int64_t tokens, int64_t R, int64_t N,
                          int64_t begin, int64_t end);
  // y = 1 / (1 + e^-x)
  void (*sigmoid)(float* y, const float* x, int64_t count);
};
template <Isa isa, class T>
HyperCoefficientRows<T> hyper_coefficient_rows();

}  // namespace birkhoff::cpu

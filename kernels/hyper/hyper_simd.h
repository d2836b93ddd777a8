#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"
#include "kernels/hyper/sinkhorn.h"

namespace birkhoff::cpu {

// Terms per row of fn, and columns of the products (coefficient_products.h).
struct HyperTerms {
  int64_t count, columns;
};

// Row kernels of the coefficients for one instruction set. N = S*C values a token, R rows of fn.
template <class T>
struct HyperCoefficientRows {
  // Splits `from` into high + low, which differs from it by at most 2^-17 of its value.
  void (*split)(bfloat16* high, bfloat16* low, const float* from, int64_t count);
  // mixes = rstd <fn, x>, given the products [rows, columns] of x with the terms of fn.
  void (*mixes)(float* mixes, float* rstd, const T* x, const float* products, HyperTerms terms, int64_t rows, int64_t R,
                int64_t N, float eps);
  // Packs fn in the order in which input_gradient reads it: panels of columns, panel_count(S, C) of panel_floats(R)
  // each.
  int64_t (*panel_count)(int64_t S, int64_t C);
  int64_t (*panel_floats)(int64_t R);
  void (*pack_panels)(float* packed, const float* fn, int64_t R, int64_t S, int64_t C, int64_t begin, int64_t end);
  // dx_i += pre_i dh + draw fn - shrink x. dh may be null.
  void (*input_gradient)(T* dx, const T* x, const T* dh, const float* pre, const float* draw, const float* shrink,
                         const float* panels, int64_t rows, int64_t R, int64_t S, int64_t C);
  // Columns [begin, end) of dfn += draw^T x, tokens in ascending order.
  void (*weight_gradient)(float* dfn, const float* draw, const T* x, int64_t tokens, int64_t R, int64_t N,
                          int64_t begin, int64_t end);
  // y = 1 / (1 + e^-x)
  void (*sigmoid)(float* y, const float* x, int64_t count);
};
template <Isa isa, class T>
HyperCoefficientRows<T> hyper_coefficient_rows();

// Row kernels of the read for one instruction set.
template <class T>
struct HyperReadRows {
  // h = sum_i pre_i x_i
  void (*forward)(T* h, const T* x, const float* pre, int64_t rows, int64_t S, int64_t C);
  // dpre_i = <dh, x_i>
  void (*dots)(float* dpre, const T* dh, const T* x, int64_t rows, int64_t S, int64_t C);
  // dx_i += pre_i dh
  void (*spread)(T* dx, const T* dh, const float* pre, int64_t rows, int64_t S, int64_t C);
};
template <Isa isa, class T>
HyperReadRows<T> hyper_read_rows();

// Sinkhorn over `rows` matrices, each in its own lane of a register. `work` holds sinkhorn_work(S, iterations) floats
// and is 64-byte aligned. Outputs may alias inputs.
struct SinkhornRows {
  void (*forward)(float* comb, const float* logits, int64_t rows, int64_t S, SinkhornOptions options, float* work);
  void (*backward)(float* dlogits, const float* dcomb, const float* logits, int64_t rows, int64_t S,
                   SinkhornOptions options, float* work);
};
template <Isa isa>
SinkhornRows sinkhorn_rows();

inline constexpr int64_t kSinkhornTile = 16;  // the most matrices processed at a time
// The matrix and its sums, and a copy of both after each of the 2 * iterations steps.
inline int64_t sinkhorn_work(int64_t S, int iterations) { return (2 * iterations + 1) * (S * S + S) * kSinkhornTile; }

// Row kernels of hyper_expand and hyper_collapse for one instruction set.
template <class T>
struct HyperStreamRows {
  // x_i = factor h
  void (*expand)(T* x, const T* h, float factor, int64_t rows, int64_t S, int64_t C);
  // h = factor sum_i x_i
  void (*collapse)(T* h, const T* x, float factor, int64_t rows, int64_t S, int64_t C);
};
template <Isa isa, class T>
HyperStreamRows<T> hyper_stream_rows();

// Row kernels of the write and mix for one instruction set. x_next may be x, dx may be dx_next.
template <class T>
struct HyperWriteMixRows {
  void (*forward)(T* x_next, const T* x, const T* y, const float* post, const float* comb, int64_t rows, int64_t S,
                  int64_t C);
  void (*backward)(T* dx, T* dy, float* dpost, float* dcomb, const T* dx_next, const T* x, const T* y,
                   const float* post, const float* comb, int64_t rows, int64_t S, int64_t C);
};
template <Isa isa, class T>
HyperWriteMixRows<T> hyper_write_mix_rows();

}  // namespace birkhoff::cpu

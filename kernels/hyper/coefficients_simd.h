#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

struct HyperTerms {
  int64_t count, columns;
};

// Row kernels of the coefficients for one instruction set. N = S*C values a token, R rows of fn.
template <class T>
struct HyperCoefficientRows {
  // from = high + low within 2^-17 of itself.
  void (*split)(bfloat16* high, bfloat16* low, const float* from, int64_t count);
  // mixes = rstd <fn, x>, given the products [rows, columns] of x with fn's terms (coefficient_products.h).
  void (*mixes)(float* mixes, float* rstd, const T* x, const float* products, HyperTerms terms, int64_t rows, int64_t R,
                int64_t N, float eps);
  // fn in the order that input_gradient reads: panels of columns, panel_count(S, C) of panel_floats(R) each.
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

}  // namespace birkhoff::cpu

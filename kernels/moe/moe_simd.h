#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"
#include "kernels/moe/router.h"

namespace birkhoff::cpu {

// Kernels for one token and one instruction set. The token's K rows are at rows + row_of[k] * C; there is none for k if
// row_of[k] is -1. gate and base may be null.
template <class T>
struct CombineToken {
  void (*forward)(T* y, const T* base, const T* rows, const float* gate, const int32_t* row_of, int64_t K, int64_t C);
  // If dgate is null, computes drows only.
  void (*backward)(T* drows, float* dgate, const T* dy, const T* rows, const float* gate, const int32_t* row_of,
                   int64_t K, int64_t C);
};
template <Isa isa, class T>
CombineToken<T> combine_token();

// Row kernels of the router for one instruction set. `backward` replaces the gradient of the scores by that of the
// logits, in place.
struct RouterRows {
  void (*forward)(float* scores, const float* logits, int64_t rows, int64_t E, RouterScore score);
  void (*backward)(float* gradient, const float* scores, int64_t rows, int64_t E, RouterScore score);
};
template <Isa isa>
RouterRows router_rows();

}  // namespace birkhoff::cpu

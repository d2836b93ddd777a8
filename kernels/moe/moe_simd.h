#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"
#include "kernels/moe/router.h"

namespace birkhoff::cpu {

// Kernels of one token for one instruction set: its K rows are rows + row_of[k] * C. gate and base may be null.
template <class T>
struct CombineToken {
  void (*forward)(T* y, const T* base, const T* rows, const float* gate, const int32_t* row_of, int64_t K, int64_t C);
  // dgate null: drows only.
  void (*backward)(T* drows, float* dgate, const T* dy, const T* rows, const float* gate, const int32_t* row_of,
                   int64_t K, int64_t C);
};
template <Isa isa, class T>
CombineToken<T> combine_token();

// Row kernels of the router for one instruction set. `backward` turns the gradient of the scores, in place, into that
// of the logits.
struct RouterRows {
  void (*forward)(float* scores, const float* logits, int64_t rows, int64_t E, RouterScore score);
  void (*backward)(float* gradient, const float* scores, int64_t rows, int64_t E, RouterScore score);
};
template <Isa isa>
RouterRows router_rows();

}  // namespace birkhoff::cpu

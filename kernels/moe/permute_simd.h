#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

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

}  // namespace birkhoff::cpu

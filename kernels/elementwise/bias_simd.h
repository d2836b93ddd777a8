#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Row kernels of the bias for one instruction set.
template <class T>
struct BiasRows {
  // y[t] += bias
  void (*add)(T* y, const float* bias, int64_t rows, int64_t C);
  // sum = sum_t dy[t], tokens in ascending order
  void (*sum)(float* sum, const T* dy, int64_t rows, int64_t C);
};
template <Isa isa, class T>
BiasRows<T> bias_rows();

}  // namespace birkhoff::cpu

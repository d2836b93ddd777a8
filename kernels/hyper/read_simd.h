#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

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

}  // namespace birkhoff::cpu

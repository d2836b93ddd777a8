#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Row kernels of rmsnorm for one instruction set. gain and dgain may be null.
template <class T>
struct RmsNormRows {
  void (*forward)(T* y, float* rstd, const T* x, const float* gain, int64_t rows, int64_t C, float eps);
  void (*backward)(T* dx, float* dgain, const T* dy, const T* x, const float* gain, const float* rstd, int64_t rows,
                   int64_t C);
};
template <Isa isa, class T>
RmsNormRows<T> rmsnorm_rows();

}  // namespace birkhoff::cpu

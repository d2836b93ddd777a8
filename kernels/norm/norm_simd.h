#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Row kernels of layernorm for one instruction set.
template <class T>
struct LayerNormRows {
  void (*forward)(T* y, float* mean, float* rstd, const T* x, const float* weight, const float* bias, int64_t rows,
                  int64_t C, float eps);
  void (*backward)(T* dx, float* dweight, float* dbias, const T* dy, const T* x, const float* weight, const float* mean,
                   const float* rstd, int64_t rows, int64_t C);
};
template <Isa isa, class T>
LayerNormRows<T> layernorm_rows();

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

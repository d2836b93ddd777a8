#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

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

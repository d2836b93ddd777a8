#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Row kernels of the streams' start and end for one instruction set.
template <class T>
struct HyperStreamRows {
  // x_i = factor h
  void (*expand)(T* x, const T* h, float factor, int64_t rows, int64_t S, int64_t C);
  // h = factor sum_i x_i
  void (*collapse)(T* h, const T* x, float factor, int64_t rows, int64_t S, int64_t C);
};
template <Isa isa, class T>
HyperStreamRows<T> hyper_stream_rows();

}  // namespace birkhoff::cpu

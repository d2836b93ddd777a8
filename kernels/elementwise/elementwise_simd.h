#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// add and scale process blocks of at most kAddBlock elements through an f32 buffer in the L1 cache. That way, three
// kinds of kernels (load, add, store) serve every mix of dtypes, and the output may be an input.
inline constexpr int64_t kAddBlock = 1024;
struct AddBlock {
  void (*load_f32)(float* sum, const float* x, float factor, int64_t count);  // sum = factor * x
  void (*load_bf16)(float* sum, const bfloat16* x, float factor, int64_t count);
  void (*add_f32)(float* sum, const float* x, float factor, int64_t count);  // sum += factor * x
  void (*add_bf16)(float* sum, const bfloat16* x, float factor, int64_t count);
  void (*store_f32)(float* y, const float* sum, int64_t count);
  void (*store_bf16)(bfloat16* y, const float* sum, int64_t count);
};
template <Isa isa>
AddBlock add_block();

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

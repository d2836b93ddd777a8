#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// The arguments of rope.h over raw memory, for tokens [begin, end) of x, y [T, heads, width]. The `pairs` rotated pairs
// begin at dim `offset`.
template <class T>
struct RopeTokens {
  T* y;
  const T* x;
  const int32_t* positions;
  const float* table;
  int64_t heads, width, pairs, offset;
  float sign;  // multiplies the sine: -1 for the inverse
  int64_t begin, end;
};
template <class T>
struct RopeKernels {
  void (*interleaved)(const RopeTokens<T>&);
  void (*half)(const RopeTokens<T>&);
};
template <Isa isa, class T>
RopeKernels<T> rope_tokens();

}  // namespace birkhoff::cpu

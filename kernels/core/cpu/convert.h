#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"

namespace birkhoff::cpu {

// to[i] = from[i], to bf16 rounded to nearest even; vectorized, on the calling thread.
void convert(bfloat16* to, const float* from, int64_t count);
void convert(float* to, const bfloat16* from, int64_t count);
void convert(float* to, const float* from, int64_t count);
void convert(bfloat16* to, const bfloat16* from, int64_t count);

}  // namespace birkhoff::cpu

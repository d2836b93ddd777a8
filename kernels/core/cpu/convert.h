#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"

namespace birkhoff::cpu {

// to[i] = from[i]; conversion to bf16 rounds to nearest even. Vectorized; runs on the calling thread only.
void convert(bfloat16* to, const float* from, int64_t count);
void convert(float* to, const bfloat16* from, int64_t count);
void convert(float* to, const float* from, int64_t count);
void convert(bfloat16* to, const bfloat16* from, int64_t count);

}  // namespace birkhoff::cpu

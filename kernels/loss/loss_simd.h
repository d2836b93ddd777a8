#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Row kernels of cross_entropy for one instruction set.
struct CrossEntropyRows {
  float (*max)(const float* x, int64_t V);
  // exps[v] = e^(x[v] - max); returns their sum.
  float (*exps)(float* exps, const float* x, float max, int64_t V);
  // d[v] = exps[v] * scale.
  void (*scale_f32)(float* d, const float* exps, float scale, int64_t V);
  void (*scale_bf16)(bfloat16* d, const float* exps, float scale, int64_t V);
};
template <Isa isa>
CrossEntropyRows cross_entropy_rows();

}  // namespace birkhoff::cpu

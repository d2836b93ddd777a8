#pragma once
#include <cstdint>

#include "kernels/core/cpu/isa.h"
#include "kernels/hyper/sinkhorn.h"

namespace birkhoff::cpu {

// Sinkhorn over `rows` matrices, a register of them at a time. `work` holds sinkhorn_work(S, iterations) floats and is
// 64-byte aligned. Outputs may be inputs.
struct SinkhornRows {
  void (*forward)(float* comb, const float* logits, int64_t rows, int64_t S, SinkhornOptions options, float* work);
  void (*backward)(float* dlogits, const float* dcomb, const float* logits, int64_t rows, int64_t S,
                   SinkhornOptions options, float* work);
};
template <Isa isa>
SinkhornRows sinkhorn_rows();

inline constexpr int64_t kSinkhornTile = 16;  // most matrices at a time
inline int64_t sinkhorn_work(int64_t S, int iterations) { return (2 * iterations + 1) * (S * S + S) * kSinkhornTile; }

}  // namespace birkhoff::cpu

#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Constants of one AdamW step, folded so that an element costs one square root and one division:
//   w = decay * w - step_size * m / (sqrt(v) * root_correction + eps)
struct AdamWFactors {
  float beta1, beta2, one_minus_beta1, one_minus_beta2, grad_scale, decay, step_size, root_correction, eps;
};

// The update of a run of elements, and the conversion of its weights, for one instruction set. No two arrays overlap.
template <class M, class V>
using AdamWRun = void (*)(float* w, M* m, V* v, const float* g, int64_t count, const AdamWFactors& factors);
using RoundRun = void (*)(bfloat16* to, const float* from, int64_t count);

template <Isa isa, class M, class V>
AdamWRun<M, V> adamw_run();
template <Isa isa>
RoundRun round_run();

}  // namespace birkhoff::cpu

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

// Kernels for one instruction set: AdamWRun updates consecutive elements, and RoundRun rounds weights to bf16. The
// arrays must not overlap.
template <class M, class V>
using AdamWRun = void (*)(float* w, M* m, V* v, const float* g, int64_t count, const AdamWFactors& factors);
using RoundRun = void (*)(bfloat16* to, const float* from, int64_t count);

template <Isa isa, class M, class V>
AdamWRun<M, V> adamw_run();
template <Isa isa>
RoundRun round_run();

// Kernels for one row and one instruction set. A null g means no gradient; `rate` = (1 - beta) * grad_scale.
template <class M>
struct SinkhornRow {
  // m = beta m + rate g;  returns sum_j (beta m[j] + rate g[j])^2 with the stored (rounded) m.
  double (*advance)(M* m, const float* g, int64_t n, float beta, float rate);
  // u[j] = (beta m[j] + rate g[j]) * row_scale * column_scale[j];  returns sum_j u[j]^2.
  float (*form)(float* u, const M* m, const float* g, const float* column_scale, int64_t n, float beta, float rate,
                float row_scale);
  // sums[j] += (factor u[j])^2
  void (*add_squares)(float* sums, const float* u, int64_t n, float factor);
  // w[j] -= factor u[j];  copy = w, unless it is null
  void (*subtract)(float* w, bfloat16* copy, const float* u, int64_t n, float factor);
};
template <Isa isa, class M>
SinkhornRow<M> sinkhorn_row();

}  // namespace birkhoff::cpu

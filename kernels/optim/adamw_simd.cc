#include "kernels/core/cpu/simd.h"
#include "kernels/optim/optim_simd.h"

namespace birkhoff::cpu {
namespace {

constexpr float kSmallestNormal = 0x1p-126f;

template <class M, class V>
void update(float* __restrict w, M* __restrict m, V* __restrict v, const float* __restrict g, int64_t count,
            const AdamWFactors& factors) {
  const AdamWFactors f = factors;
  for (int64_t i = 0; i < count; ++i) {
    const float gi = f.grad_scale * g[i];
    float mi = f.beta1 * load(m + i) + f.one_minus_beta1 * gi;
    float vi = f.beta2 * load(v + i) + f.one_minus_beta2 * (gi * gi);
    // Subnormal moments become zero, because subnormal arithmetic is slow. But v becomes zero only if m is zero, since
    // otherwise the update would divide by it.
    const float idle_v = vi < kSmallestNormal ? 0.0f : vi;
    mi = __builtin_fabsf(mi) < kSmallestNormal ? 0.0f : mi;
    vi = mi == 0.0f ? idle_v : vi;
    w[i] = f.decay * w[i] - f.step_size * mi / (__builtin_sqrtf(vi) * f.root_correction + f.eps);
    store(m + i, mi);
    store(v + i, vi);
  }
}

void round(bfloat16* __restrict to, const float* __restrict from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) store(to + i, from[i]);
}

}  // namespace

template <>
AdamWRun<float, float> adamw_run<kThisIsa, float, float>() {
  return update<float, float>;
}
template <>
AdamWRun<float, bfloat16> adamw_run<kThisIsa, float, bfloat16>() {
  return update<float, bfloat16>;
}
template <>
AdamWRun<bfloat16, float> adamw_run<kThisIsa, bfloat16, float>() {
  return update<bfloat16, float>;
}
template <>
AdamWRun<bfloat16, bfloat16> adamw_run<kThisIsa, bfloat16, bfloat16>() {
  return update<bfloat16, bfloat16>;
}
template <>
RoundRun round_run<kThisIsa>() {
  return round;
}

}  // namespace birkhoff::cpu

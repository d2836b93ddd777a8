#include "kernels/core/cpu/simd.h"
#include "kernels/optim/optim_simd.h"

namespace birkhoff::cpu {
namespace {

// Momentum below this becomes zero at once: subnormal arithmetic is slow and would go on forever.
constexpr float kSmallestMomentum = 1e-30f;

template <class M>
double advance(M* m, const float* g, int64_t n, float beta, float rate) {
  double sum = 0;
  for (int64_t j = 0; j < n; ++j) {
    const float step = g ? rate * g[j] : 0.0f;
    const float next = beta * load(m + j) + step;
    store(m + j, __builtin_fabsf(next) < kSmallestMomentum ? 0.0f : next);
    const double u = beta * load(m + j) + step;
    sum += u * u;
  }
  return sum;
}

template <class M>
float form(float* __restrict u, const M* __restrict m, const float* __restrict g, const float* __restrict column_scale,
           int64_t n, float beta, float rate, float row_scale) {
  float sum = 0;
  for (int64_t j = 0; j < n; ++j) {
    const float v = (beta * load(m + j) + (g ? rate * g[j] : 0.0f)) * row_scale * column_scale[j];
    u[j] = v;
    sum += v * v;
  }
  return sum;
}

void add_squares(float* __restrict sums, const float* __restrict u, int64_t n, float factor) {
  for (int64_t j = 0; j < n; ++j) sums[j] += (factor * u[j]) * (factor * u[j]);
}

void subtract(float* __restrict w, bfloat16* __restrict copy, const float* __restrict u, int64_t n, float factor) {
  for (int64_t j = 0; j < n; ++j) w[j] -= factor * u[j];
  for (int64_t j = 0; copy && j < n; ++j) store(copy + j, w[j]);
}

}  // namespace

template <>
SinkhornRow<float> sinkhorn_row<kThisIsa, float>() {
  return {advance<float>, form<float>, add_squares, subtract};
}
template <>
SinkhornRow<bfloat16> sinkhorn_row<kThisIsa, bfloat16>() {
  return {advance<bfloat16>, form<bfloat16>, add_squares, subtract};
}

}  // namespace birkhoff::cpu

#include "kernels/core/cpu/simd.h"
#include "kernels/loss/loss_simd.h"

namespace birkhoff::cpu {
namespace {

// The compiler does not vectorize a maximum by itself, because its order matters for NaN. So the lanes are written out.
// A NaN is ignored here, but makes the sum of the exponentials NaN.
constexpr int kLanes = 32;

float row_max(const float* x, int64_t V) {
  float lanes[kLanes];
  for (int j = 0; j < kLanes; ++j) lanes[j] = -__builtin_inff();
  int64_t v = 0;
  for (; v + kLanes <= V; v += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] = x[v + j] > lanes[j] ? x[v + j] : lanes[j];
  }
  for (; v < V; ++v) lanes[0] = x[v] > lanes[0] ? x[v] : lanes[0];
  float max = lanes[0];
  for (int j = 1; j < kLanes; ++j) max = lanes[j] > max ? lanes[j] : max;
  return max;
}

float row_exps(float* exps, const float* x, float max, int64_t V) {
  float sum = 0;
  for (int64_t v = 0; v < V; ++v) {
    exps[v] = exp_f32(x[v] - max);
    sum += exps[v];
  }
  return sum;
}

template <class T>
void row_scale(T* d, const float* exps, float scale, int64_t V) {
  for (int64_t v = 0; v < V; ++v) store(d + v, exps[v] * scale);
}

}  // namespace

template <>
CrossEntropyRows cross_entropy_rows<kThisIsa>() {
  return {row_max, row_exps, row_scale<float>, row_scale<bfloat16>};
}

}  // namespace birkhoff::cpu

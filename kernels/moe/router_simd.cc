#include "kernels/core/cpu/simd.h"
#include "kernels/moe/moe_simd.h"

namespace birkhoff::cpu {
namespace {

// log(1 + e^z) = max(z, 0) + log(1 + u) with u = e^-|z|, and log(1 + u) = 2 atanh(u / (2 + u)). The argument is at most
// 1/3, so seven terms of the series of atanh suffice for f32. The relative error stays small down to the smallest e^z.
[[gnu::always_inline]] inline float softplus(float z) {
  const float u = exp_f32(-__builtin_fabsf(z));
  const float s = u / (2.0f + u), q = s * s;
  float p = 1.0f / 13;
  p = p * q + 1.0f / 11;
  p = p * q + 1.0f / 9;
  p = p * q + 1.0f / 7;
  p = p * q + 1.0f / 5;
  p = p * q + 1.0f / 3;
  p = p * q + 1.0f;
  return (z > 0 ? z : 0.0f) + 2.0f * s * p;
}

// (1 - e^-x) / x for x >= 0. Small x uses the series, because the difference would cancel.
[[gnu::always_inline]] inline float one_minus_exp_over(float x) {
  float p = -1.0f / 40320;
  p = p * x + 1.0f / 5040;
  p = p * x - 1.0f / 720;
  p = p * x + 1.0f / 120;
  p = p * x - 1.0f / 24;
  p = p * x + 1.0f / 6;
  p = p * x - 1.0f / 2;
  p = p * x + 1.0f;
  const float direct = (1.0f - exp_f32(-x)) / (x > 0.5f ? x : 1.0f);
  return x > 0.5f ? direct : p;
}

void softmax(float* s, const float* z, int64_t E) {
  float top = z[0], sum = 0;
  for (int64_t e = 0; e < E; ++e) top = z[e] > top ? z[e] : top;
  for (int64_t e = 0; e < E; ++e) {
    const float v = exp_f32(z[e] - top);
    s[e] = v;
    sum += v;
  }
  for (int64_t e = 0; e < E; ++e) s[e] /= sum;
}

void forward(float* s, const float* z, int64_t rows, int64_t E, RouterScore score) {
  const int64_t count = rows * E;
  switch (score) {
    case RouterScore::sigmoid:
      for (int64_t i = 0; i < count; ++i) s[i] = sigmoid_f32(z[i]);
      return;
    case RouterScore::sqrt_softplus:
      for (int64_t i = 0; i < count; ++i) s[i] = __builtin_sqrtf(softplus(z[i]));
      return;
    case RouterScore::softmax:
      for (int64_t t = 0; t < rows; ++t) softmax(s + t * E, z + t * E, E);
      return;
  }
}

void softmax_backward(float* d, const float* s, int64_t E) {
  float dot = 0;
  for (int64_t e = 0; e < E; ++e) dot += d[e] * s[e];
  for (int64_t e = 0; e < E; ++e) d[e] = s[e] * (d[e] - dot);
}

void backward(float* d, const float* s, int64_t rows, int64_t E, RouterScore score) {
  const int64_t count = rows * E;
  switch (score) {
    case RouterScore::sigmoid:
      for (int64_t i = 0; i < count; ++i) d[i] *= s[i] * (1.0f - s[i]);
      return;
    case RouterScore::sqrt_softplus:
      for (int64_t i = 0; i < count; ++i) d[i] *= 0.5f * s[i] * one_minus_exp_over(s[i] * s[i]);
      return;
    case RouterScore::softmax:
      for (int64_t t = 0; t < rows; ++t) softmax_backward(d + t * E, s + t * E, E);
      return;
  }
}

}  // namespace

template <>
RouterRows router_rows<kThisIsa>() {
  return {forward, backward};
}

}  // namespace birkhoff::cpu

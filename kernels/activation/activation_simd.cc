#include "kernels/activation/activation_simd.h"

#include "kernels/core/cpu/simd.h"

namespace birkhoff::cpu {
namespace {

[[gnu::always_inline]] inline float below(float x, float limit) { return x < limit ? x : limit; }
[[gnu::always_inline]] inline float within(float x, float limit) { return below(x > -limit ? x : -limit, limit); }

template <class T>
void swiglu(T* y, const T* x, float scale, float limit, int64_t F) {
  for (int64_t f = 0; f < F; ++f) {
    const float g = below(load(x + f), limit), u = within(load(x + F + f), limit);
    store(y + f, scale * g * sigmoid_f32(g) * u);
  }
}

template <class T>
float swiglu_backward(T* dx, const T* dy, const T* x, float scale, float limit, int64_t F) {
  float dscale = 0;
  for (int64_t f = 0; f < F; ++f) {
    const float x0 = load(x + f), x1 = load(x + F + f), d = load(dy + f);
    const float g = below(x0, limit), u = within(x1, limit), s = sigmoid_f32(g);
    dscale += d * g * s * u;
    store(dx + f, x0 <= limit ? scale * d * u * s * (1 + g * (1 - s)) : 0.0f);
    store(dx + F + f, x1 <= limit && x1 >= -limit ? scale * d * g * s : 0.0f);
  }
  return dscale;
}

// gelu(x) = x sigmoid(2 z), z = sqrt(2/pi) (x + 0.044715 x^3): the tanh form, since 1 + tanh(z) = 2 sigmoid(2 z).
constexpr float kTwoRootTwoOverPi = 1.5957691216f, kCubic = 0.044715f;

template <class T>
void gelu(T* y, const T* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float v = load(x + i);
    store(y + i, v * sigmoid_f32(kTwoRootTwoOverPi * (v + kCubic * v * v * v)));
  }
}

template <class T>
void gelu_backward(T* dx, const T* dy, const T* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float v = load(x + i), s = sigmoid_f32(kTwoRootTwoOverPi * (v + kCubic * v * v * v));
    const float slope = kTwoRootTwoOverPi * (1 + 3 * kCubic * v * v);
    store(dx + i, load(dy + i) * (s + v * s * (1 - s) * slope));
  }
}

}  // namespace

template <>
ActivationRows<float> activation_rows<kThisIsa, float>() {
  return {swiglu<float>, swiglu_backward<float>, gelu<float>, gelu_backward<float>};
}
template <>
ActivationRows<bfloat16> activation_rows<kThisIsa, bfloat16>() {
  return {swiglu<bfloat16>, swiglu_backward<bfloat16>, gelu<bfloat16>, gelu_backward<bfloat16>};
}

}  // namespace birkhoff::cpu

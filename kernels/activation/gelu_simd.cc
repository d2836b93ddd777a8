#include "kernels/activation/activation_simd.h"
#include "kernels/core/cpu/simd.h"

namespace birkhoff::cpu {
namespace {

// The form y = x * sigmoid(2 u) of gelu.h, because simd.h has a sigmoid but no tanh.
constexpr float kSlope2 = 1.5957691216057308f;  // 2 sqrt(2 / pi)
constexpr float kCubic = 0.044715f;

template <class T>
void forward(T* y, const T* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float v = load(x + i);
    store(y + i, v * sigmoid_f32(kSlope2 * (v + kCubic * v * v * v)));
  }
}

template <class T>
void backward(T* dx, const T* dy, const T* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float v = load(x + i);
    const float s = sigmoid_f32(kSlope2 * (v + kCubic * v * v * v));
    const float du = kSlope2 * (1.0f + 3.0f * kCubic * v * v);
    store(dx + i, load(dy + i) * (s + v * s * (1.0f - s) * du));
  }
}

}  // namespace

template <>
GeluValues<float> gelu_values<kThisIsa, float>() {
  return {forward<float>, backward<float>};
}
template <>
GeluValues<bfloat16> gelu_values<kThisIsa, bfloat16>() {
  return {forward<bfloat16>, backward<bfloat16>};
}

}  // namespace birkhoff::cpu

#include "kernels/activation/activation_simd.h"
#include "kernels/core/cpu/simd.h"

namespace birkhoff::cpu {
namespace {

// The clamps are comparisons that are false for NaN, so a NaN passes through and stays visible.
template <class T>
void forward(T* y, const T* x, float scale, float clamp, int64_t F) {
  for (int64_t f = 0; f < F; ++f) {
    const float x0 = load(x + f), x1 = load(x + F + f);
    const float gate = x0 > clamp ? clamp : x0;
    const float up = x1 > clamp ? clamp : (x1 < -clamp ? -clamp : x1);
    store(y + f, scale * gate * sigmoid_f32(gate) * up);
  }
}

// dx may be x: both halves of element f are read before either is written.
template <class T>
float backward(T* dx, const T* dy, const T* x, float scale, float clamp, int64_t F) {
  float dscale = 0;
  for (int64_t f = 0; f < F; ++f) {
    const float x0 = load(x + f), x1 = load(x + F + f), g = load(dy + f);
    const float gate = x0 > clamp ? clamp : x0;
    const float up = x1 > clamp ? clamp : (x1 < -clamp ? -clamp : x1);
    const float s = sigmoid_f32(gate), silu = gate * s;
    dscale += g * silu * up;
    store(dx + f, x0 > clamp ? 0.0f : scale * g * up * (s + silu * (1.0f - s)));
    store(dx + F + f, x1 > clamp || x1 < -clamp ? 0.0f : scale * g * silu);
  }
  return dscale;
}

}  // namespace

template <>
SwigluRow<float> swiglu_row<kThisIsa, float>() {
  return {forward<float>, backward<float>};
}
template <>
SwigluRow<bfloat16> swiglu_row<kThisIsa, bfloat16>() {
  return {forward<bfloat16>, backward<bfloat16>};
}

}  // namespace birkhoff::cpu

#include "kernels/core/cpu/simd.h"
#include "kernels/norm/norm_simd.h"

namespace birkhoff::cpu {
namespace {

template <class T>
void forward(T* y, float* rstd, const T* x, const float* gain, int64_t rows, int64_t C, float eps) {
  for (int64_t t = 0; t < rows; ++t, x += C, y += C) {
    float sum = 0;
    for (int64_t c = 0; c < C; ++c) sum += load(x + c) * load(x + c);
    const float r = 1.0f / __builtin_sqrtf(sum / static_cast<float>(C) + eps);
    if (gain) {
      for (int64_t c = 0; c < C; ++c) store(y + c, load(x + c) * r * gain[c]);
    } else {
      for (int64_t c = 0; c < C; ++c) store(y + c, load(x + c) * r);
    }
    rstd[t] = r;
  }
}

template <class T>
void backward_plain(T* dx, const T* dy, const T* x, float r, int64_t C) {
  float dot = 0;
  for (int64_t c = 0; c < C; ++c) dot += load(dy + c) * load(x + c);
  const float k = dot * r * r / static_cast<float>(C);
  for (int64_t c = 0; c < C; ++c) store(dx + c, r * (load(dy + c) - load(x + c) * k));
}

template <class T>
void backward_gain(T* dx, float* dgain, const T* dy, const T* x, const float* gain, float r, int64_t C) {
  float dot = 0;
  for (int64_t c = 0; c < C; ++c) dot += load(dy + c) * gain[c] * load(x + c);
  const float k = dot * r * r / static_cast<float>(C);
  for (int64_t c = 0; c < C; ++c) {
    const float g = load(dy + c), v = load(x + c);
    dgain[c] += g * v * r;
    store(dx + c, r * (g * gain[c] - v * k));
  }
}

template <class T>
void backward(T* dx, float* dgain, const T* dy, const T* x, const float* gain, const float* rstd, int64_t rows,
              int64_t C) {
  for (int64_t t = 0; t < rows; ++t, dx += C, dy += C, x += C) {
    if (gain) {
      backward_gain(dx, dgain, dy, x, gain, rstd[t], C);
    } else {
      backward_plain(dx, dy, x, rstd[t], C);
    }
  }
}

}  // namespace

template <>
RmsNormRows<float> rmsnorm_rows<kThisIsa, float>() {
  return {forward<float>, backward<float>};
}
template <>
RmsNormRows<bfloat16> rmsnorm_rows<kThisIsa, bfloat16>() {
  return {forward<bfloat16>, backward<bfloat16>};
}

}  // namespace birkhoff::cpu

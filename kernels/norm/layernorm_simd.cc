#include "kernels/core/cpu/lanes.h"
#include "kernels/norm/norm_simd.h"

namespace birkhoff::cpu {
namespace {

template <class T>
void forward(T* y, float* mean, float* rstd, const T* x, const float* weight, const float* bias, int64_t rows,
             int64_t C, float eps) {
  const float inverse = 1.0f / static_cast<float>(C);
  for (int64_t t = 0; t < rows; ++t, x += C, y += C) {
    float sum = 0, squares = 0;
    for (int64_t c = 0; c < C; ++c) sum += load(x + c);
    const float m = sum * inverse;
    for (int64_t c = 0; c < C; ++c) squares += (load(x + c) - m) * (load(x + c) - m);
    const float r = 1.0f / __builtin_sqrtf(squares * inverse + eps);
    for (int64_t c = 0; c < C; ++c) store(y + c, (load(x + c) - m) * r * weight[c] + bias[c]);
    mean[t] = m;
    rstd[t] = r;
  }
}

template <class T>
void backward(T* dx, float* dweight, float* dbias, const T* dy, const T* x, const float* weight, const float* mean,
              const float* rstd, int64_t rows, int64_t C) {
  const float inverse = 1.0f / static_cast<float>(C);
  for (int64_t t = 0; t < rows; ++t, dx += C, dy += C, x += C) {
    const float m = mean[t], r = rstd[t];
    float sum = 0, dot = 0;
    for (int64_t c = 0; c < C; ++c) {
      const float g = load(dy + c) * weight[c];
      sum += g;
      dot += g * ((load(x + c) - m) * r);
    }
    sum *= inverse;
    dot *= inverse;
    for_lanes(C, [&](int64_t c, int64_t count) {
      const Lanes g = load_lanes(dy + c, count), n = (load_lanes(x + c, count) - m) * r;
      store_lanes(dweight + c, load_lanes(dweight + c, count) + g * n, count);
      store_lanes(dbias + c, load_lanes(dbias + c, count) + g, count);
      store_lanes(dx + c, r * (g * load_lanes(weight + c, count) - sum - n * dot), count);
    });
  }
}

}  // namespace

template <>
LayerNormRows<float> layernorm_rows<kThisIsa, float>() {
  return {forward<float>, backward<float>};
}
template <>
LayerNormRows<bfloat16> layernorm_rows<kThisIsa, bfloat16>() {
  return {forward<bfloat16>, backward<bfloat16>};
}

}  // namespace birkhoff::cpu

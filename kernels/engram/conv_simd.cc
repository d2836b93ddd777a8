#include "kernels/core/cpu/lanes.h"
#include "kernels/engram/engram_simd.h"

namespace birkhoff::cpu {
namespace {

template <class T>
float rstd_of(const T* x, int64_t C, float eps) {
  Lanes squares{};
  for_lanes(C, [&](int64_t c, int64_t n) {
    const Lanes v = load_lanes(x + c, n);
    squares += v * v;
  });
  return 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(C) + eps);
}

template <class T>
void add_tap(float* z, const T* x, const float* w, float rstd, int64_t C) {
  for_lanes(C, [&](int64_t c, int64_t n) {
    store_lanes(z + c, load_lanes(z + c, n) + rstd * load_lanes(x + c, n) * load_lanes(w + c, n), n);
  });
}

template <class T>
void add_silu(T* out, const float* z, int64_t count) {
  for (int64_t c = 0; c < count; ++c) store(out + c, load(out + c) + z[c] * sigmoid_f32(z[c]));
}

template <class T>
void silu_gradient(float* z, const T* dout, int64_t count) {
  for (int64_t c = 0; c < count; ++c) {
    const float s = sigmoid_f32(z[c]);
    z[c] = load(dout + c) * s * (1 + z[c] * (1 - s));
  }
}

void add_product(float* dn, const float* dz, const float* w, int64_t count) {
  for_lanes(count, [&](int64_t c, int64_t n) {
    store_lanes(dn + c, load_lanes(dn + c, n) + load_lanes(dz + c, n) * load_lanes(w + c, n), n);
  });
}

template <class T>
void input_gradient(T* dx, const float* dn, const T* x, const float* gain, float rstd, int64_t C) {
  Lanes total{};
  for_lanes(C, [&](int64_t c, int64_t n) {
    total += load_lanes(dn + c, n) * load_lanes(gain + c, n) * load_lanes(x + c, n);
  });
  const float shrink = sum(total) * rstd * rstd / static_cast<float>(C);
  for_lanes(C, [&](int64_t c, int64_t n) {
    const Lanes d = load_lanes(dn + c, n) * load_lanes(gain + c, n);
    store_lanes(dx + c, rstd * (d - load_lanes(x + c, n) * shrink), n);
  });
}

template <class T>
EngramConvRows<T> kernels() {
  return {rstd_of<T>, add_tap<T>, add_silu<T>, silu_gradient<T>, add_product, input_gradient<T>};
}

}  // namespace

template <>
EngramConvRows<float> engram_conv_rows<kThisIsa, float>() {
  return kernels<float>();
}
template <>
EngramConvRows<bfloat16> engram_conv_rows<kThisIsa, bfloat16>() {
  return kernels<bfloat16>();
}

}  // namespace birkhoff::cpu

#include "kernels/core/cpu/lanes.h"
#include "kernels/engram/engram_simd.h"

namespace birkhoff::cpu {
namespace {

float rstd_of(Lanes squares, int64_t C, float eps) {
  return 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(C) + eps);
}

template <class T>
EngramScore score(const T* h, const T* k, const float* w, int64_t C, float eps) {
  Lanes hh{}, kk{}, hk{};
  for_lanes(C, [&](int64_t c, int64_t n) {
    const Lanes a = load_lanes(h + c, n), b = load_lanes(k + c, n);
    hh += a * a;
    kk += b * b;
    hk += a * b * load_lanes(w + c, n);
  });
  const float rstd_h = rstd_of(hh, C, eps), rstd_k = rstd_of(kk, C, eps);
  return {sum(hk) * rstd_h * rstd_k / __builtin_sqrtf(static_cast<float>(C)), rstd_h, rstd_k};
}

template <class T>
void write(T* out, T* value, const T* h, const T* v, float gate, int64_t C) {
  for_lanes(C, [&](int64_t c, int64_t n) {
    const Lanes gated = gate * load_lanes(v + c, n);
    const Lanes total = load_lanes(h + c, n) + gated;
    if (value) store_lanes(value + c, gated, n);
    store_lanes(out + c, total, n);
  });
}

template <class T>
float value_backward(float* dv, const T* dout, const T* dvalue, const T* v, float gate, int64_t C) {
  Lanes dot{};
  for_lanes(C, [&](int64_t c, int64_t n) {
    Lanes d = load_lanes(dout + c, n);
    if (dvalue) d += load_lanes(dvalue + c, n);
    dot += d * load_lanes(v + c, n);
    store_lanes(dv + c, load_lanes(dv + c, n) + gate * d, n);
  });
  return sum(dot);
}

template <class T>
void score_backward(T* dh, T* dk, float* dw, const T* dout, const T* h, const T* k, const float* w, EngramScore saved,
                    float dscore, int64_t C) {
  const float channels = static_cast<float>(C);
  const float unit = dscore * saved.rstd_h * saved.rstd_k / __builtin_sqrtf(channels);
  const float shrink_h = dscore * saved.score * saved.rstd_h * saved.rstd_h / channels;
  const float shrink_k = dscore * saved.score * saved.rstd_k * saved.rstd_k / channels;
  for_lanes(C, [&](int64_t c, int64_t n) {
    const Lanes a = load_lanes(h + c, n), b = load_lanes(k + c, n), weight = load_lanes(w + c, n);
    const Lanes out_h = load_lanes(dout + c, n) + unit * b * weight - shrink_h * a;
    store_lanes(dw + c, load_lanes(dw + c, n) + unit * a * b, n);
    store_lanes(dk + c, unit * a * weight - shrink_k * b, n);
    store_lanes(dh + c, out_h, n);
  });
}

template <class T>
EngramGateRow<T> row() {
  return {score<T>, write<T>, value_backward<T>, score_backward<T>};
}

}  // namespace

template <>
EngramGateRow<float> engram_gate_row<kThisIsa, float>() {
  return row<float>();
}
template <>
EngramGateRow<bfloat16> engram_gate_row<kThisIsa, bfloat16>() {
  return row<bfloat16>();
}

}  // namespace birkhoff::cpu

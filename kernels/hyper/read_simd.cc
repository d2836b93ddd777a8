#include "kernels/core/cpu/lanes.h"
#include "kernels/hyper/hyper_simd.h"
#include "kernels/hyper/write_mix.h"

namespace birkhoff::cpu {
namespace {

template <int kS, class T>
void forward(T* h, const T* x, const float* pre, int64_t rows, int64_t size, int64_t C) {
  const int64_t S = kS ? kS : size;
  for (int64_t t = 0; t < rows; ++t, h += C, x += S * C, pre += S) {
    for_lanes(C, [&](int64_t c, int64_t n) {
      Lanes total = pre[0] * load_lanes(x + c, n);
      for (int64_t i = 1; i < S; ++i) total += pre[i] * load_lanes(x + i * C + c, n);
      store_lanes(h + c, total, n);
    });
  }
}

template <class T>
void forward_any(T* h, const T* x, const float* pre, int64_t rows, int64_t S, int64_t C) {
  return S == 4 ? forward<4>(h, x, pre, rows, S, C) : forward<0>(h, x, pre, rows, S, C);
}

template <int kS, class T>
void dots(float* dpre, const T* dh, const T* x, int64_t rows, int64_t size, int64_t C) {
  const int64_t S = kS ? kS : size;
  for (int64_t t = 0; t < rows; ++t, dh += C, x += S * C, dpre += S) {
    Lanes total[kS ? kS : kMaxStreams] = {};
    for_lanes(C, [&](int64_t c, int64_t n) {
      const Lanes g = load_lanes(dh + c, n);
      for (int64_t i = 0; i < S; ++i) total[i] += g * load_lanes(x + i * C + c, n);
    });
    for (int64_t i = 0; i < S; ++i) dpre[i] = sum(total[i]);
  }
}

template <class T>
void dots_any(float* dpre, const T* dh, const T* x, int64_t rows, int64_t S, int64_t C) {
  return S == 4 ? dots<4>(dpre, dh, x, rows, S, C) : dots<0>(dpre, dh, x, rows, S, C);
}

template <class T>
void spread(T* dx, const T* dh, const float* pre, int64_t rows, int64_t S, int64_t C) {
  for (int64_t t = 0; t < rows; ++t, dh += C, pre += S) {
    for (int64_t i = 0; i < S; ++i, dx += C) {
      for_lanes(C, [&](int64_t c, int64_t n) {
        store_lanes(dx + c, load_lanes(dx + c, n) + pre[i] * load_lanes(dh + c, n), n);
      });
    }
  }
}

}  // namespace

template <>
HyperReadRows<float> hyper_read_rows<kThisIsa, float>() {
  return {forward_any<float>, dots_any<float>, spread<float>};
}
template <>
HyperReadRows<bfloat16> hyper_read_rows<kThisIsa, bfloat16>() {
  return {forward_any<bfloat16>, dots_any<bfloat16>, spread<bfloat16>};
}

}  // namespace birkhoff::cpu

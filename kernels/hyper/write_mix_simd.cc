#include "kernels/core/cpu/lanes.h"
#include "kernels/hyper/hyper_simd.h"
#include "kernels/hyper/write_mix.h"

namespace birkhoff::cpu {
namespace {

// If kS is not 0, S is that constant, so that the compiler unrolls the loops and keeps all sums in registers. A step
// loads every stream before it stores any, so outputs may alias inputs.
template <int kS, class T>
void forward(T* x_next, const T* x, const T* y, const float* post, const float* comb, int64_t rows, int64_t size,
             int64_t C) {
  const int64_t S = kS ? kS : size;
  for (int64_t t = 0; t < rows; ++t, x_next += S * C, x += S * C, y += C, post += S, comb += S * S) {
    for_lanes(C, [&](int64_t c, int64_t n) {
      Lanes in[kS ? kS : kMaxStreams];
      for (int64_t i = 0; i < S; ++i) in[i] = load_lanes(x + i * C + c, n);
      const Lanes written = load_lanes(y + c, n);
      for (int64_t j = 0; j < S; ++j) {
        Lanes total = post[j] * written;
        for (int64_t i = 0; i < S; ++i) total += comb[i * S + j] * in[i];
        store_lanes(x_next + j * C + c, total, n);
      }
    });
  }
}

template <int kS, class T>
void backward(T* dx, T* dy, float* dpost, float* dcomb, const T* dx_next, const T* x, const T* y, const float* post,
              const float* comb, int64_t rows, int64_t size, int64_t C) {
  const int64_t S = kS ? kS : size;
  constexpr int64_t kMost = kS ? kS : kMaxStreams;
  for (int64_t t = 0; t < rows; ++t) {
    Lanes write_dots[kMost] = {}, mix_dots[kMost * kMost] = {};
    for_lanes(C, [&](int64_t c, int64_t n) {
      Lanes g[kMost], total{};
      const Lanes written = load_lanes(y + c, n);
      for (int64_t j = 0; j < S; ++j) {
        g[j] = load_lanes(dx_next + j * C + c, n);
        total += post[j] * g[j];
        write_dots[j] += g[j] * written;
      }
      store_lanes(dy + c, total, n);
      for (int64_t i = 0; i < S; ++i) {
        const Lanes in = load_lanes(x + i * C + c, n);
        Lanes back{};
        for (int64_t j = 0; j < S; ++j) {
          back += comb[i * S + j] * g[j];
          mix_dots[i * S + j] += in * g[j];
        }
        store_lanes(dx + i * C + c, back, n);
      }
    });
    for (int64_t j = 0; j < S; ++j) dpost[j] = sum(write_dots[j]);
    for (int64_t ij = 0; ij < S * S; ++ij) dcomb[ij] = sum(mix_dots[ij]);
    dx += S * C, dx_next += S * C, x += S * C, dy += C, y += C, post += S, dpost += S, comb += S * S, dcomb += S * S;
  }
}

template <class T>
void forward_any(T* x_next, const T* x, const T* y, const float* post, const float* comb, int64_t rows, int64_t S,
                 int64_t C) {
  return S == 4 ? forward<4>(x_next, x, y, post, comb, rows, S, C) : forward<0>(x_next, x, y, post, comb, rows, S, C);
}
template <class T>
void backward_any(T* dx, T* dy, float* dpost, float* dcomb, const T* dx_next, const T* x, const T* y, const float* post,
                  const float* comb, int64_t rows, int64_t S, int64_t C) {
  return S == 4 ? backward<4>(dx, dy, dpost, dcomb, dx_next, x, y, post, comb, rows, S, C)
                : backward<0>(dx, dy, dpost, dcomb, dx_next, x, y, post, comb, rows, S, C);
}

}  // namespace

template <>
HyperWriteMixRows<float> hyper_write_mix_rows<kThisIsa, float>() {
  return {forward_any<float>, backward_any<float>};
}
template <>
HyperWriteMixRows<bfloat16> hyper_write_mix_rows<kThisIsa, bfloat16>() {
  return {forward_any<bfloat16>, backward_any<bfloat16>};
}

}  // namespace birkhoff::cpu

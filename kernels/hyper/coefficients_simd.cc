#include "kernels/core/cpu/lanes.h"
#include "kernels/hyper/hyper_simd.h"

namespace birkhoff::cpu {
namespace {

// kTokens tokens share each load of fn, and a panel is kPanelVectors registers wide: 8 x 2 sums if there are 32
// registers, 4 x 2 if there are 16.
constexpr int kTokens = kRegisters == 32 ? 8 : 4;
constexpr int kPanelVectors = 2;
constexpr int64_t kPanel = kPanelVectors * kLanes;

// --- forward ---------------------------------------------------------------------------------------------------------

void split(bfloat16* high, bfloat16* low, const float* from, int64_t count) {
  for_lanes(count, [&](int64_t k, int64_t n) {
    const Lanes value = load_lanes(from + k, n);
    store_lanes(high + k, value, n);
    store_lanes(low + k, value - load_lanes(high + k, n), n);
  });
}

template <class T>
void mixes_of(float* mixes, float* rstd, const T* x, const float* products, HyperTerms terms, int64_t rows, int64_t R,
              int64_t N, float eps) {
  for (int64_t t = 0; t < rows; ++t, x += N, mixes += R, products += terms.columns) {
    Lanes squares{};
    for_lanes(N, [&](int64_t c, int64_t n) {
      const Lanes v = load_lanes(x + c, n);
      squares += v * v;
    });
    rstd[t] = 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(N) + eps);
    for (int64_t r = 0; r < R; ++r) {
      mixes[r] = rstd[t] * (terms.count == 2 ? products[r] + products[R + r] : products[r]);
    }
  }
}

// --- backward --------------------------------------------------------------------------------------------------------

// fn is packed into panels of kPanel columns, none of which crosses two streams. Element (r, c) of panel p is at
// [(p * R + r) * kPanel + c].
int64_t panels_of_stream(int64_t C) { return (C + kPanel - 1) / kPanel; }
int64_t panel_count(int64_t S, int64_t C) { return S * panels_of_stream(C); }
int64_t panel_floats(int64_t R) { return R * kPanel; }

void pack_panels(float* packed, const float* fn, int64_t R, int64_t S, int64_t C, int64_t begin, int64_t end) {
  const int64_t per_stream = panels_of_stream(C);
  for (int64_t p = begin; p < end; ++p) {
    const int64_t c = p % per_stream * kPanel, n = C - c < kPanel ? C - c : kPanel;
    const float* from = fn + p / per_stream * C + c;
    float* to = packed + p * panel_floats(R);
    for (int64_t r = 0; r < R; ++r, from += S * C, to += kPanel) {
      for (int64_t k = 0; k < kPanel; ++k) to[k] = k < n ? from[k] : 0.0f;
    }
  }
}

// The arguments of input_gradient for one group of tokens.
template <class T>
struct InputGradient {
  T* dx;
  const T *x, *dh;
  const float *pre, *draw, *shrink, *panels;
  int64_t R, S, C;
};

template <int kRows, int kVectors, class T>
[[gnu::always_inline]] inline void input_block(const InputGradient<T>& a, int64_t stream, int64_t c, int64_t n) {
  const int64_t N = a.S * a.C, column = stream * a.C + c;
  Lanes total[kRows][kVectors];
  for (int t = 0; t < kRows; ++t) {
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = t * N + column + v * kLanes;
      total[t][v] = load_lanes(a.dx + at, n) - a.shrink[t] * load_lanes(a.x + at, n);
      if (a.dh) total[t][v] += a.pre[t * a.S + stream] * load_lanes(a.dh + t * a.C + c + v * kLanes, n);
    }
  }
  const float* w = a.panels + (stream * panels_of_stream(a.C) + c / kPanel) * panel_floats(a.R) + c % kPanel;
  for (int64_t r = 0; r < a.R; ++r, w += kPanel) {
    for (int v = 0; v < kVectors; ++v) {
      const Lanes weight = load_lanes(w + v * kLanes);
      for (int t = 0; t < kRows; ++t) total[t][v] += a.draw[t * a.R + r] * weight;
    }
  }
  for (int t = 0; t < kRows; ++t) {
    for (int v = 0; v < kVectors; ++v) store_lanes(a.dx + t * N + column + v * kLanes, total[t][v], n);
  }
}

template <int kRows, class T>
void input_rows(const InputGradient<T>& a) {
  for (int64_t stream = 0; stream < a.S; ++stream) {
    int64_t c = 0;
    for (; c + kPanel <= a.C; c += kPanel) input_block<kRows, kPanelVectors>(a, stream, c, kLanes);
    for (; c < a.C; c += kLanes) input_block<kRows, 1>(a, stream, c, a.C - c < kLanes ? a.C - c : kLanes);
  }
}

template <class T>
void input_gradient(T* dx, const T* x, const T* dh, const float* pre, const float* draw, const float* shrink,
                    const float* panels, int64_t rows, int64_t R, int64_t S, int64_t C) {
  const int64_t N = S * C;
  auto from = [&](int64_t t) {
    return InputGradient<T>{
        dx + t * N, x + t * N, dh ? dh + t * C : nullptr, pre + t * S, draw + t * R, shrink + t, panels, R, S, C};
  };
  int64_t t = 0;
  for (; t + kTokens <= rows; t += kTokens) input_rows<kTokens>(from(t));
  for (; t < rows; ++t) input_rows<1>(from(t));
}

template <int kRows, int kVectors, class T>
[[gnu::always_inline]] inline void weight_block(float* dfn, const float* draw, const T* x, int64_t tokens, int64_t R,
                                                int64_t N, int64_t n) {
  Lanes total[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) total[r][v] = load_lanes(dfn + r * N + v * kLanes, n);
  }
  for (int64_t t = 0; t < tokens; ++t, draw += R, x += N) {
    for (int v = 0; v < kVectors; ++v) {
      const Lanes value = load_lanes(x + v * kLanes, n);
      for (int r = 0; r < kRows; ++r) total[r][v] += draw[r] * value;
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) store_lanes(dfn + r * N + v * kLanes, total[r][v], n);
  }
}

template <int kVectors, class T>
void weight_columns(float* dfn, const float* draw, const T* x, int64_t tokens, int64_t R, int64_t N, int64_t n) {
  constexpr int kRows = kRegisters == 32 ? 12 : 4;
  int64_t r = 0;
  for (; r + kRows <= R; r += kRows) weight_block<kRows, kVectors>(dfn + r * N, draw + r, x, tokens, R, N, n);
  for (; r < R; ++r) weight_block<1, kVectors>(dfn + r * N, draw + r, x, tokens, R, N, n);
}

template <class T>
void weight_gradient(float* dfn, const float* draw, const T* x, int64_t tokens, int64_t R, int64_t N, int64_t begin,
                     int64_t end) {
  constexpr int64_t kTile = 32;  // tokens whose columns stay in the L1 cache
  for (int64_t t = 0; t < tokens; t += kTile, draw += kTile * R, x += kTile * N) {
    const int64_t rows = tokens - t < kTile ? tokens - t : kTile;
    int64_t k = begin;
    for (; k + 2 * kLanes <= end; k += 2 * kLanes) weight_columns<2>(dfn + k, draw, x + k, rows, R, N, kLanes);
    for (; k < end; k += kLanes) {
      weight_columns<1>(dfn + k, draw, x + k, rows, R, N, end - k < kLanes ? end - k : kLanes);
    }
  }
}

void sigmoid(float* y, const float* x, int64_t count) {
  for (int64_t k = 0; k < count; ++k) y[k] = sigmoid_f32(x[k]);
}

template <class T>
HyperCoefficientRows<T> kernels() {
  return {split, mixes_of<T>, panel_count, panel_floats, pack_panels, input_gradient<T>, weight_gradient<T>, sigmoid};
}

}  // namespace

template <>
HyperCoefficientRows<float> hyper_coefficient_rows<kThisIsa, float>() {
  return kernels<float>();
}
template <>
HyperCoefficientRows<bfloat16> hyper_coefficient_rows<kThisIsa, bfloat16>() {
  return kernels<bfloat16>();
}

}  // namespace birkhoff::cpu

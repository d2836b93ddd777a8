#include "kernels/hyper/coefficients_simd.h"

#include "kernels/core/cpu/lanes.h"

namespace birkhoff::cpu {
namespace {

// Tokens that share a load of fn, and the most registers of packed rows: 8 x 3 sums of 32 registers, 4 x 3 of 16.
constexpr int kTokens = kRegisters == 32 ? 8 : 4;
static_assert(kTokens <= kHyperGroup);
constexpr int kGroups = 3;

// --- mixes -----------------------------------------------------------------------------------------------------------

// Of packed fn: packed[k][r], element k of row r, rows padded to whole registers.
int64_t width_of(int64_t R) { return (R + kLanes - 1) / kLanes * kLanes; }
int64_t packed_count(int64_t R, int64_t N) { return N * width_of(R); }

void pack(float* packed, const float* fn, int64_t R, int64_t N) {
  for (int64_t k = 0; k < N; ++k, packed += width_of(R)) {
    for (int64_t r = 0; r < width_of(R); ++r) packed[r] = r < R ? fn[r * N + k] : 0.0f;
  }
}

// <fn, x> of kRows tokens for kVectors registers of rows of fn, the first of them row r.
template <int kRows, int kVectors>
void products(float* mixes, const float* x, const float* packed, int64_t r, int64_t R, int64_t N) {
  Lanes total[kRows][kVectors] = {};
  const float* w = packed + r;
  for (int64_t k = 0; k < N; ++k, w += width_of(R)) {
    for (int t = 0; t < kRows; ++t) {
      for (int v = 0; v < kVectors; ++v) total[t][v] += x[t * N + k] * load_lanes(w + v * kLanes);
    }
  }
  for (int t = 0; t < kRows; ++t) {
    for (int v = 0; v < kVectors; ++v) {
      const int64_t first = r + v * kLanes;
      if (first < R) store_lanes(mixes + t * R + first, total[t][v], R - first < kLanes ? R - first : kLanes);
    }
  }
}

template <int kRows>
void all_products(float* mixes, const float* x, const float* packed, int64_t R, int64_t N) {
  int64_t r = 0;
  for (; r + kGroups * kLanes <= width_of(R); r += kGroups * kLanes) {
    products<kRows, kGroups>(mixes, x, packed, r, R, N);
  }
  const int64_t left = (width_of(R) - r) / kLanes;
  if (left == 2) products<kRows, 2>(mixes, x, packed, r, R, N);
  if (left == 1) products<kRows, 1>(mixes, x, packed, r, R, N);
}

// `count` values as f32: where they are, or converted into `work`.
const float* as_f32(const float* x, float*, int64_t) { return x; }
const float* as_f32(const bfloat16* x, float* work, int64_t count) {
  for_lanes(count, [&](int64_t c, int64_t n) { store_lanes(work + c, load_lanes(x + c, n), n); });
  return work;
}

template <int kRows, class T>
void mixes_of_group(float* mixes, float* rstd, const T* x, const float* packed, int64_t R, int64_t N, float eps,
                    float* work) {
  const float* values = as_f32(x, work, kRows * N);
  all_products<kRows>(mixes, values, packed, R, N);
  for (int t = 0; t < kRows; ++t, values += N) {
    Lanes squares{};
    for_lanes(N, [&](int64_t c, int64_t n) {
      const Lanes v = load_lanes(values + c, n);
      squares += v * v;
    });
    rstd[t] = 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(N) + eps);
    for (int64_t r = 0; r < R; ++r) mixes[t * R + r] *= rstd[t];
  }
}

template <class T>
void mixes_of(float* mixes, float* rstd, const T* x, const float* packed, int64_t rows, int64_t R, int64_t N, float eps,
              float* work) {
  int64_t t = 0;
  for (; t + kTokens <= rows; t += kTokens) {
    mixes_of_group<kTokens>(mixes + t * R, rstd + t, x + t * N, packed, R, N, eps, work);
  }
  for (; t < rows; ++t) mixes_of_group<1>(mixes + t * R, rstd + t, x + t * N, packed, R, N, eps, work);
}

// --- backward --------------------------------------------------------------------------------------------------------

// The arguments of input_gradient for one group of tokens, at the stream's first column.
template <class T>
struct InputGradient {
  T* dx;
  const T *x, *dh;
  const float *pre, *draw, *shrink, *fn;
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
  const float* w = a.fn + column;
  for (int64_t r = 0; r < a.R; ++r, w += N) {
    for (int v = 0; v < kVectors; ++v) {
      const Lanes weight = load_lanes(w + v * kLanes, n);
      for (int t = 0; t < kRows; ++t) total[t][v] += a.draw[t * a.R + r] * weight;
    }
  }
  for (int t = 0; t < kRows; ++t) {
    for (int v = 0; v < kVectors; ++v) store_lanes(a.dx + t * N + column + v * kLanes, total[t][v], n);
  }
}

template <int kRows, class T>
void input_rows(const InputGradient<T>& a) {
  constexpr int kVectors = kRows == 1 ? 1 : 2;
  for (int64_t stream = 0; stream < a.S; ++stream) {
    int64_t c = 0;
    for (; c + kVectors * kLanes <= a.C; c += kVectors * kLanes) input_block<kRows, kVectors>(a, stream, c, kLanes);
    for (; c < a.C; c += kLanes) input_block<kRows, 1>(a, stream, c, a.C - c < kLanes ? a.C - c : kLanes);
  }
}

template <class T>
void input_gradient(T* dx, const T* x, const T* dh, const float* pre, const float* draw, const float* shrink,
                    const float* fn, int64_t rows, int64_t R, int64_t S, int64_t C) {
  const int64_t N = S * C;
  auto from = [&](int64_t t) {
    return InputGradient<T>{
        dx + t * N, x + t * N, dh ? dh + t * C : nullptr, pre + t * S, draw + t * R, shrink + t, fn, R, S, C};
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
  constexpr int64_t kTile = 32;  // tokens whose columns stay in the first cache
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
  return {packed_count, pack, mixes_of<T>, input_gradient<T>, weight_gradient<T>, sigmoid};
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

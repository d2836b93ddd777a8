#include "kernels/hyper/coefficients_simd.h"

#include "kernels/core/cpu/lanes.h"
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace birkhoff::cpu {
namespace {

// Tokens that share a load of fn, and the most registers of packed rows: 8 x 3 sums of 32 registers, 4 x 3 of 16.
constexpr int kTokens = kRegisters == 32 ? 8 : 4;
constexpr int kGroups = 3;

// --- mixes, in f32. packed[k][p]: element k of fn's row p, p padded to whole registers. -----------------------------

template <class T>
struct F32Product {
  static constexpr int64_t kTerms = 1;
  static int64_t width(int64_t R) { return (R + kLanes - 1) / kLanes * kLanes; }
  static int64_t packed_bytes(int64_t R, int64_t N) { return N * width(R) * static_cast<int64_t>(sizeof(float)); }

  static void pack(void* packed, const float* fn, int64_t R, int64_t N) {
    float* out = static_cast<float*>(packed);
    for (int64_t k = 0; k < N; ++k, out += width(R)) {
      for (int64_t p = 0; p < width(R); ++p) out[p] = p < R ? fn[p * N + k] : 0.0f;
    }
  }

  template <int kRows, int kVectors>
  [[gnu::always_inline]] static void block(Lanes (&total)[kRows][kVectors], const T* x, const void* packed, int64_t N,
                                           int64_t W) {
    const float* w = static_cast<const float*>(packed);
    for (int64_t k = 0; k < N; ++k, w += W) {
      for (int t = 0; t < kRows; ++t) {
        for (int v = 0; v < kVectors; ++v) total[t][v] += load(x + t * N + k) * load_lanes(w + v * kLanes);
      }
    }
  }
  static const void* columns(const void* packed, int64_t lane) { return static_cast<const float*>(packed) + lane; }
};

// --- mixes, in bf16 pairs. fn = high + low, each bf16, 2R rows: 16 bits of mantissa. packed[k/2][p][2]. -------------

#ifdef __AVX512BF16__
struct Bf16Product {
  static constexpr int64_t kTerms = 2;
  static int64_t width(int64_t R) { return (2 * R + kLanes - 1) / kLanes * kLanes; }
  static int64_t packed_bytes(int64_t R, int64_t N) { return (N + 1) / 2 * width(R) * 4; }

  static void pack(void* packed, const float* fn, int64_t R, int64_t N) {
    bfloat16* out = static_cast<bfloat16*>(packed);
    for (int64_t k = 0; k < (N + 1) / 2 * 2; ++k) {
      for (int64_t p = 0; p < width(R); ++p) {
        const float value = p < 2 * R && k < N ? fn[p % R * N + k] : 0.0f;
        bfloat16 high;
        store(&high, value);
        store(out + (k / 2 * width(R) + p) * 2 + k % 2, p < R ? value : value - load(&high));
      }
    }
  }

  static int32_t pair(const bfloat16* x) {
    int32_t bits;
    __builtin_memcpy(&bits, x, sizeof bits);
    return bits;
  }

  template <int kRows, int kVectors>
  [[gnu::always_inline]] static void step(Lanes (&total)[kRows][kVectors], const int32_t (&pairs)[kRows],
                                          const uint32_t* w) {
    __m512bh weights[kVectors];
    for (int v = 0; v < kVectors; ++v) weights[v] = (__m512bh)_mm512_loadu_si512(w + v * kLanes);
    for (int t = 0; t < kRows; ++t) {
      const __m512bh value = (__m512bh)_mm512_set1_epi32(pairs[t]);
      for (int v = 0; v < kVectors; ++v) {
        total[t][v] = (Lanes)_mm512_dpbf16_ps((__m512)total[t][v], value, weights[v]);
      }
    }
  }

  template <int kRows, int kVectors>
  [[gnu::always_inline]] static void block(Lanes (&total)[kRows][kVectors], const bfloat16* x, const void* packed,
                                           int64_t N, int64_t W) {
    const uint32_t* w = static_cast<const uint32_t*>(packed);
    int32_t pairs[kRows];
    for (int64_t k = 0; k + 1 < N; k += 2, w += W) {
      for (int t = 0; t < kRows; ++t) pairs[t] = pair(x + t * N + k);
      step<kRows, kVectors>(total, pairs, w);
    }
    if (N % 2) {
      for (int t = 0; t < kRows; ++t) pairs[t] = x[t * N + N - 1].bits;
      step<kRows, kVectors>(total, pairs, w);
    }
  }
  static const void* columns(const void* packed, int64_t lane) { return static_cast<const uint32_t*>(packed) + lane; }
};
#endif

template <class T>
struct ProductOf {
  using Type = F32Product<T>;
};
#ifdef __AVX512BF16__
template <>
struct ProductOf<bfloat16> {
  using Type = Bf16Product;
};
#endif

// Adds <fn, x> of kRows tokens for kVectors registers of packed rows, the first of them row `lane`.
template <class Product, int kRows, int kVectors, class T>
void add_products(float* mixes, const T* x, const void* packed, int64_t lane, int64_t R, int64_t N) {
  Lanes total[kRows][kVectors] = {};
  Product::template block<kRows, kVectors>(total, x, Product::columns(packed, lane), N, Product::width(R));
  for (int t = 0; t < kRows; ++t) {
    float values[kVectors * kLanes];
    for (int v = 0; v < kVectors; ++v) store_lanes(values + v * kLanes, total[t][v]);
    for (int64_t p = lane; p < lane + kVectors * kLanes && p < Product::kTerms * R; ++p) {
      mixes[t * R + p % R] += values[p - lane];
    }
  }
}

template <int kRows, class T>
void add_all_products(float* mixes, const T* x, const void* packed, int64_t R, int64_t N) {
  using Product = typename ProductOf<T>::Type;
  int64_t lane = 0;
  for (; lane + kGroups * kLanes <= Product::width(R); lane += kGroups * kLanes) {
    add_products<Product, kRows, kGroups>(mixes, x, packed, lane, R, N);
  }
  const int64_t left = (Product::width(R) - lane) / kLanes;
  if (left == 2) add_products<Product, kRows, 2>(mixes, x, packed, lane, R, N);
  if (left == 1) add_products<Product, kRows, 1>(mixes, x, packed, lane, R, N);
}

template <class T>
void mixes_of(float* mixes, float* rstd, const T* x, const void* packed, int64_t rows, int64_t R, int64_t N,
              float eps) {
  for (int64_t k = 0; k < rows * R; ++k) mixes[k] = 0;
  int64_t t = 0;
  for (; t + kTokens <= rows; t += kTokens) add_all_products<kTokens>(mixes + t * R, x + t * N, packed, R, N);
  for (; t < rows; ++t) add_all_products<1>(mixes + t * R, x + t * N, packed, R, N);
  for (t = 0; t < rows; ++t) {
    float squares = 0;
    for (int64_t k = 0; k < N; ++k) squares += load(x + t * N + k) * load(x + t * N + k);
    rstd[t] = 1.0f / __builtin_sqrtf(squares / static_cast<float>(N) + eps);
    for (int64_t r = 0; r < R; ++r) mixes[t * R + r] *= rstd[t];
  }
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
  using Product = typename ProductOf<T>::Type;
  return {Product::packed_bytes, Product::pack, mixes_of<T>, input_gradient<T>, weight_gradient<T>, sigmoid};
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

#include "kernels/attention/tile_simd.h"

#include "kernels/core/cpu/simd.h"

namespace birkhoff::cpu {
namespace {

// One hardware vector; vectors of the language, since register blocking must not depend on what a compiler recognises.
constexpr int64_t kWidth = kThisIsa >= Isa::avx512 ? 16 : (kThisIsa == Isa::avx2 ? 8 : 4);
typedef float Vector __attribute__((vector_size(kWidth * sizeof(float)), aligned(4), may_alias));
constexpr int kRows = kThisIsa >= Isa::avx512 ? 6 : 4, kVectors = kThisIsa >= Isa::avx512 ? 4 : 2;

Vector vector_at(const float* p) { return *reinterpret_cast<const Vector*>(p); }

// R rows by V vectors of c stay in registers while k runs.
template <int R, int V>
[[gnu::always_inline]] inline void block(const TileGemm& g, int64_t m, int64_t n) {
  Vector sum[R][V];
  float* c = g.c + m * g.c_row + n;
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) sum[r][v] = g.accumulate ? vector_at(c + r * g.c_row + v * kWidth) : Vector{};
  }
  const float *a = g.a + m * g.a_row, *b = g.b + n;
  for (int64_t k = 0; k < g.K; ++k, a += g.a_column, b += g.b_row) {
    Vector row[V];
    for (int v = 0; v < V; ++v) row[v] = vector_at(b + v * kWidth);
    for (int r = 0; r < R; ++r) {
      const float factor = a[r * g.a_row];
      for (int v = 0; v < V; ++v) sum[r][v] += factor * row[v];
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) *reinterpret_cast<Vector*>(c + r * g.c_row + v * kWidth) = sum[r][v];
  }
}

template <int V>
void columns(const TileGemm& g, int64_t n) {
  int64_t m = 0;
  for (; m + kRows <= g.M; m += kRows) block<kRows, V>(g, m, n);
  for (; m < g.M; ++m) block<1, V>(g, m, n);
}

void gemm(const TileGemm& g) {
  int64_t n = 0;
  for (; n + kVectors * kWidth <= g.N; n += kVectors * kWidth) columns<kVectors>(g, n);
  for (; n + 2 * kWidth <= g.N; n += 2 * kWidth) columns<2>(g, n);
  for (; n < g.N; n += kWidth) columns<1>(g, n);
}

constexpr float kLowest = -1e30f;

void mask(const ScoreTile& t, int64_t r, float value) {
  float* s = t.s + r * kTileKeys;
  for (int64_t j = 0; j < t.low[r]; ++j) s[j] = value;
  for (int64_t j = t.high[r]; j < kTileKeys; ++j) s[j] = value;
}

void online_softmax(const ScoreTile& t, float* maximum, float* sum, float* correction) {
  for (int64_t r = 0; r < t.rows; ++r) {
    float* s = t.s + r * kTileKeys;
    mask(t, r, kLowest);
    float largest = kLowest;
    for (int64_t j = 0; j < kTileKeys; ++j) largest = s[j] > largest ? s[j] : largest;
    const float before = maximum[r];
    const float now = largest > kLowest && largest * t.scale > before ? largest * t.scale : before;
    // A NaN or an infinity in a row must reach its output: it makes the sum NaN below.
    float total = 0;
    for (int64_t j = 0; j < kTileKeys; ++j) {
      s[j] = s[j] == kLowest ? 0.0f : exp_f32(t.scale * s[j] - now);
      total += s[j];
    }
    correction[r] = exp_f32(before - now);
    sum[r] = sum[r] * correction[r] + total;
    maximum[r] = now;
  }
}

void probabilities(const ScoreTile& t, const float* lse) {
  for (int64_t r = 0; r < t.rows; ++r) {
    float* s = t.s + r * kTileKeys;
    for (int64_t j = 0; j < kTileKeys; ++j) s[j] = exp_f32(t.scale * s[j] - lse[r]);
    mask(t, r, 0);
  }
}

void score_gradient(float* dp, const float* p, const float* delta, float scale, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < kTileKeys; ++j) {
      const int64_t i = r * kTileKeys + j;
      dp[i] = scale * p[i] * (dp[i] - delta[r]);
    }
  }
}

void scale_rows(float* x, int64_t x_row, const float* factor, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < n; ++i) x[r * x_row + i] *= factor[r];
  }
}

}  // namespace

template <>
AttentionTiles attention_tiles<kThisIsa>() {
  return {gemm, online_softmax, probabilities, score_gradient, scale_rows};
}

}  // namespace birkhoff::cpu

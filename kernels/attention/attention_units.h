#pragma once
// Products of small matrices for the attention kernels of one instruction set. A unit is what one lane multiplies at a
// time, 32 bits: a float, or, where the processor multiplies bf16, a pair of bf16 whose two products are summed. Inputs
// become units when a tile is packed; every sum is f32. All of it has internal linkage (kernels/core/cpu/isa.h).
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <utility>

#include "kernels/attention/attention_tiles.h"
#include "kernels/core/cpu/lanes.h"

namespace birkhoff::cpu {
namespace {

inline constexpr int64_t kTile = kAttentionTile;

template <class T>
struct UnitOf {
  using Type = float;
};
#if defined(__AVX512BF16__)
template <>
struct UnitOf<bfloat16> {
  using Type = uint32_t;
};
#endif
template <class T>
using Unit = typename UnitOf<T>::Type;
// Elements in a unit.
template <class U>
inline constexpr int64_t kPer = 1;
template <>
inline constexpr int64_t kPer<uint32_t> = 2;

[[gnu::always_inline]] inline Lanes load_units(const float* p) { return load_lanes(p); }
[[gnu::always_inline]] inline Lanes multiply_add(Lanes sum, float a, Lanes b) { return sum + a * b; }
#if defined(__AVX512BF16__)
[[gnu::always_inline]] inline Words load_units(const uint32_t* p) {
  Words v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
[[gnu::always_inline]] inline Lanes multiply_add(Lanes sum, uint32_t a, Words b) {
  return reinterpret_cast<Lanes>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum),
                                                  reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(a))),
                                                  reinterpret_cast<__m512bh>(b)));
}
#endif

// c [M, N] = a [M, K] b [K, N], K counted in units, N a multiple of 16. a[m,k] = a[m * row + k * column].
template <class U>
struct Product {
  float* c;
  int64_t ldc;
  const U* a;
  int64_t row, column;
  const U* b;
  int64_t ldb;
  int64_t M, N, K;
};
enum class Into { sum, result };  // whether c is added to or overwritten

// Sums held in registers: kRows x kVectors of them, and one row of b beside.
inline constexpr int kRows = 6, kVectors = kRegisters == 32 ? 4 : 2;

template <int R, int V, Into into, class U>
[[gnu::always_inline]] inline void multiply_block(const Product<U> p, int64_t m, int64_t n) {
  Lanes sum[R][V] = {};
  float* c = p.c + m * p.ldc + n;
  if (into == Into::sum) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
        sum[r][v] = load_lanes(c + r * p.ldc + v * kLanes);
        __builtin_prefetch(c + (R + r) * p.ldc + v * kLanes, 1);
      }
    }
  }
  const U *a = p.a + m * p.row, *b = p.b + n;
#pragma GCC unroll 4
  for (int64_t k = 0; k < p.K; ++k, a += p.column, b += p.ldb) {
    decltype(load_units(b)) row[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) row[v] = load_units(b + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[r][v] = multiply_add(sum[r][v], a[r * p.row], row[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store_lanes(c + r * p.ldc + v * kLanes, sum[r][v]);
  }
}

template <int V, Into into, class U>
void multiply_columns(const Product<U> p, int64_t n) {
  int64_t m = 0;
  for (; m + kRows <= p.M; m += kRows) multiply_block<kRows, V, into>(p, m, n);
  if (m + 4 <= p.M) multiply_block<4, V, into>(p, m, n), m += 4;
  if (m + 2 <= p.M) multiply_block<2, V, into>(p, m, n), m += 2;
  if (m < p.M) multiply_block<1, V, into>(p, m, n);
}

template <Into into, class U>
void multiply(const Product<U>& p) {
  int64_t n = 0;
  for (; n + kVectors * kLanes <= p.N; n += kVectors * kLanes) multiply_columns<kVectors, into>(p, n);
  if (kVectors > 2 && n + 2 * kLanes <= p.N) multiply_columns<2, into>(p, n), n += 2 * kLanes;
  if (n < p.N) multiply_columns<1, into>(p, n);
}

// --- packing ---------------------------------------------------------------------------------------------------------

template <class U>
constexpr int64_t units(int64_t elements) {
  return (elements + kPer<U> - 1) / kPer<U>;
}
// Units from one packed row to the next.
template <class U>
constexpr int64_t row_units(int64_t dim) {
  return attention_padded(units<U>(dim));
}

template <class T>
void pack_row(float* to, const T* from, int64_t dim) {
  for (int64_t d = 0; d < dim; ++d) to[d] = load(from + d);
}
[[maybe_unused]] void pack_row(uint32_t* to, const bfloat16* from, int64_t dim) {
  if (dim % 2 != 0) to[dim / 2] = from[dim - 1].bits;
  __builtin_memcpy(to, from, static_cast<size_t>(dim / 2) * 4);
}

// to [kTile, row_units] = rows [begin, begin + count) of a head, the rest zero.
template <class U, class T>
void pack_rows(U* to, HeadView<const T> from, int64_t begin, int64_t count, int64_t dim) {
  const int64_t filled = units<U>(dim), width = row_units<U>(dim);
  for (int64_t r = 0; r < kTile; ++r, to += width) {
    const int64_t used = r < count ? filled : 0;
    if (used > 0) pack_row(to, from.row(begin + r), dim);
    for (int64_t u = used; u < width; ++u) to[u] = 0;
  }
}

// Row k of the result holds rows k * kPer to (k + 1) * kPer - 1 of pack_rows, element by element in one unit: what a
// product needs that runs over the rows. Floats are that already. Gives where the result is: `from` or `to`.
[[maybe_unused]] const float* pack_across(float*, const float* from, int64_t) { return from; }
[[maybe_unused]] const uint32_t* pack_across(uint32_t* to, const uint32_t* from, int64_t dim) {
  const int64_t width = row_units<uint32_t>(dim), padded = attention_padded(dim);
  for (int64_t k = 0; k < kTile / 2; ++k, from += 2 * width) {
    uint32_t* row = to + k * padded;
    for (int64_t u = 0; u < padded / 2; ++u) {
      const uint32_t even = from[u], odd = from[width + u];
      row[2 * u] = (even & 0xffffu) | odd << 16;
      row[2 * u + 1] = even >> 16 | (odd & 0xffff0000u);
    }
  }
  return to;
}

// One step of a transpose of kLanes x kLanes: row i and row i + kLanes / 2 become one shuffled pack of cards.
template <int... I>
[[gnu::always_inline]] inline void shuffle_rows(Words* to, const Words* from, std::integer_sequence<int, I...>) {
#pragma GCC unroll 8
  for (int i = 0; i < kLanes / 2; ++i) {
    const Words a = from[i], b = from[i + kLanes / 2];
    to[2 * i] = __builtin_shufflevector(a, b, (I / 2 + I % 2 * kLanes)...);
    to[2 * i + 1] = __builtin_shufflevector(a, b, (kLanes / 2 + I / 2 + I % 2 * kLanes)...);
  }
}

// to [columns, rows] = from [rows, columns], both dims multiples of 16, any elements of 32 bits.
template <class U>
void transpose(U* to, int64_t to_stride, const U* from, int64_t from_stride, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    for (int64_t c = 0; c < columns; c += kLanes) {
      Words a[kLanes], b[kLanes];
      for (int i = 0; i < kLanes; ++i) __builtin_memcpy(a + i, from + (r + i) * from_stride + c, sizeof(Words));
      for (int n = kLanes; n > 1; n /= 2) {
        shuffle_rows(b, a, std::make_integer_sequence<int, kLanes>());
        __builtin_memcpy(a, b, sizeof a);
      }
      for (int i = 0; i < kLanes; ++i) __builtin_memcpy(to + (c + i) * to_stride + r, a + i, sizeof(Words));
    }
  }
}

[[maybe_unused]] void fill(float* p, float value, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = value;
}

// --- scores ----------------------------------------------------------------------------------------------------------

inline constexpr float kLog2E = 1.44269504088896f, kLn2 = 0.693147180559945f;
inline constexpr float kMinusInfinity = -1e30f;  // finite, so that differences are

// 2^x of x at most about 10: within 3e-6 for bf16, 2e-7 for f32, by a polynomial that is exact at 0. Far below 0 it is
// zero or the smallest normal number; anything for the lanes that a mask discards.
template <class T>
[[gnu::always_inline]] inline Lanes exp2_lanes(Lanes x) {
#if defined(__AVX512F__)
  const Lanes f = reinterpret_cast<Lanes>(_mm512_maskz_reduce_ps(0xffff, reinterpret_cast<__m512>(x), 0)), n = x - f;
#else
  using Ints [[gnu::vector_size(4 * kLanes)]] = int32_t;
  const Lanes least = Lanes{} - 126.0f, clamped = x > least ? x : least;
  const Ints whole = __builtin_convertvector(clamped + 126.5f, Ints) - 126;  // above 0 truncation is floor
  const Lanes f = clamped - __builtin_convertvector(whole, Lanes);
#endif
  Lanes p;
  if constexpr (sizeof(T) == 2) {
    p = (9.582852945e-03f * f + 5.590642616e-02f) * f + 2.402409911e-01f;
    p = (p * f + 6.931241751e-01f) * f + 1.0f;
  } else {
    p = (1.326472615e-03f * f + 9.671512991e-03f) * f + 5.550733581e-02f;
    p = ((p * f + 2.402224243e-01f) * f + 6.931470037e-01f) * f + 1.0f;
  }
#if defined(__AVX512F__)
  return reinterpret_cast<Lanes>(
      _mm512_maskz_scalef_ps(0xffff, reinterpret_cast<__m512>(p), reinterpret_cast<__m512>(n)));
#else
  return reinterpret_cast<Lanes>(reinterpret_cast<Words>(p) + (reinterpret_cast<Words>(whole) << 23));
#endif
}

// --- units of probabilities ------------------------------------------------------------------------------------------

// A tile [keys, queries] of two keys and one or two registers of queries, stored in units along the keys (across) or
// along the queries (along). As floats both are the tile itself.
[[maybe_unused, gnu::always_inline]] inline void store_across(float* to, int64_t key, int64_t lane, Lanes even,
                                                              Lanes odd) {
  store_lanes(to + key * kTile + lane, even);
  store_lanes(to + (key + 1) * kTile + lane, odd);
}
[[maybe_unused, gnu::always_inline]] inline void store_along(float* to, int64_t key, int64_t lane, Lanes low,
                                                             Lanes high) {
  store_lanes(to + key * kTile + lane, low);
  store_lanes(to + key * kTile + lane + kLanes, high);
}
#if defined(__AVX512BF16__)
[[maybe_unused, gnu::always_inline]] inline void store_across(uint32_t* to, int64_t key, int64_t lane, Lanes even,
                                                              Lanes odd) {
  static constexpr uint16_t kOrder[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                          8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i both =
      reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(odd), reinterpret_cast<__m512>(even)));
  _mm512_storeu_si512(to + key / 2 * kTile + lane,
                      _mm512_maskz_permutexvar_epi16(~__mmask32{0}, _mm512_loadu_si512(kOrder), both));
}
[[maybe_unused, gnu::always_inline]] inline void store_along(uint32_t* to, int64_t key, int64_t lane, Lanes low,
                                                             Lanes high) {
  _mm512_storeu_si512(
      to + (key * kTile + lane) / 2,
      reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(high), reinterpret_cast<__m512>(low))));
}
#endif

}  // namespace
}  // namespace birkhoff::cpu

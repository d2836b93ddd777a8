// Everything is a product of small matrices in f32: tiles are widened when packed, the operand whose rows are read as
// vectors has a multiple of 16 columns, and the other one is broadcast element by element, so that its transpose costs
// nothing.
#include "kernels/attention/attention_simd.h"

#include "kernels/core/cpu/simd.h"

namespace birkhoff::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kWidth = 16, kVectors = 4;
#elif defined(__AVX__)
constexpr int kWidth = 8, kVectors = 2;
#else
constexpr int kWidth = 4, kVectors = 2;
#endif
typedef float Vec __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));

constexpr int64_t kTile = kAttentionTile;
constexpr float kMinusInfinity = -1e30f;  // finite, so that differences are

// a[m,k] = p[m * row + k * column].
struct Broadcast {
  const float* p;
  int64_t row, column;
};

// c [M, V vectors] += a [M, K] b [K, V vectors]
template <int M, int V>
[[gnu::always_inline]] inline void multiply_block(float* c, int64_t ldc, Broadcast a, const float* b, int64_t ldb,
                                                  int64_t K) {
  Vec sum[M][V];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sum[m][v] = *reinterpret_cast<const Vec*>(c + m * ldc + v * kWidth);
  }
  for (int64_t k = 0; k < K; ++k, b += ldb, a.p += a.column) {
    Vec row[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) row[v] = *reinterpret_cast<const Vec*>(b + v * kWidth);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const float x = a.p[m * a.row];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[m][v] += x * row[v];
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) *reinterpret_cast<Vec*>(c + m * ldc + v * kWidth) = sum[m][v];
  }
}

template <int V>
void multiply_columns(float* c, int64_t ldc, Broadcast a, const float* b, int64_t ldb, int64_t M, int64_t K) {
  int64_t m = 0;
  for (; m + 4 <= M; m += 4, a.p += 4 * a.row) multiply_block<4, V>(c + m * ldc, ldc, a, b, ldb, K);
  for (; m < M; ++m, a.p += a.row) multiply_block<1, V>(c + m * ldc, ldc, a, b, ldb, K);
}

// c [M, N] += a [M, K] b [K, N], N a multiple of 16.
void multiply(float* c, int64_t ldc, Broadcast a, const float* b, int64_t ldb, int64_t M, int64_t N, int64_t K) {
  int64_t n = 0;
  for (; n + kVectors * kWidth <= N; n += kVectors * kWidth) {
    multiply_columns<kVectors>(c + n, ldc, a, b + n, ldb, M, K);
  }
  for (; n < N; n += kWidth) multiply_columns<1>(c + n, ldc, a, b + n, ldb, M, K);
}

void fill(float* p, float value, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = value;
}

// Rows of a head in f32, columns padded with zeros, times `factor`; rows from `count` to `padded_rows` are zero.
template <class T>
void pack_rows(float* to, HeadView<const T> from, int64_t begin, int64_t count, int64_t padded_rows, int64_t dim,
               float factor) {
  const int64_t padded = attention_padded(dim);
  for (int64_t r = 0; r < count; ++r, to += padded) {
    const T* row = from.row(begin + r);
    for (int64_t d = 0; d < dim; ++d) to[d] = load(row + d) * factor;
    for (int64_t d = dim; d < padded; ++d) to[d] = 0;
  }
  fill(to, 0, (padded_rows - count) * padded);
}

// to [dim, kTile] = from [kTile, padded dim] transposed
void transpose(float* to, const float* from, int64_t dim) {
  const int64_t padded = attention_padded(dim);
  for (int64_t d = 0; d < dim; ++d) {
    for (int64_t r = 0; r < kTile; ++r) to[d * kTile + r] = from[r * padded + d];
  }
}

template <class T>
float dot(const T* a, const T* b, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += load(a + i) * load(b + i);
  return sum;
}

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// The keys of a tile that a query sees, relative to the tile's first: [first, last).
struct Visible {
  int32_t first, last;
  Visible(const int32_t* document_start, int64_t query, int64_t key)
      : first(static_cast<int32_t>(document_start[query] > key ? document_start[query] - key : 0)),
        last(static_cast<int32_t>(least(query - key + 1, kTile))) {}
  bool none() const { return first >= last; }
};

// Whether any of the queries [query, query_end) sees any of the keys [key, key + kTile).
bool touches(const int32_t* document_start, int64_t query, int64_t query_end, int64_t key) {
  return query_end > key && document_start[query] < key + kTile;
}

// One step of the online softmax: s becomes exp(s - most), the row's sums so far are rescaled.
void softmax_row(float* s, Visible visible, float& most, float& total, float* sum, int64_t dim) {
  if (visible.none()) return fill(s, 0, kTile);
  float top = most, add = 0;
  for (int32_t c = 0; c < kTile; ++c) s[c] = c >= visible.first && c < visible.last ? s[c] : kMinusInfinity;
  // By vectors: a maximum is no sum to the compiler, and would stay scalar.
  Vec lanes = *reinterpret_cast<const Vec*>(s);
  for (int64_t c = kWidth; c < kTile; c += kWidth) {
    const Vec next = *reinterpret_cast<const Vec*>(s + c);
    lanes = next > lanes ? next : lanes;
  }
  for (int l = 0; l < kWidth; ++l) top = lanes[l] > top ? lanes[l] : top;
  for (int32_t c = 0; c < kTile; ++c) s[c] = exp_f32(s[c] - top);
  for (int32_t c = 0; c < kTile; ++c) add += s[c];
  if (top != most) {
    const float shrink = exp_f32(most - top);
    for (int64_t d = 0; d < dim; ++d) sum[d] *= shrink;
    total *= shrink;
    most = top;
  }
  total += add;
}

template <class T>
void forward(const AttentionHead<T>& head, HeadView<T> o, int64_t begin, int64_t end, float* scratch) {
  const int64_t D = attention_padded(head.key_dim), V = attention_padded(head.value_dim), rows = end - begin;
  float *q = scratch, *sum = q + kAttentionBlock * D, *most = sum + kAttentionBlock * V;
  float *total = most + kAttentionBlock, *k = total + kAttentionBlock, *kt = k + kTile * D, *v = kt + kTile * D;
  float* s = v + kTile * V;
  pack_rows(q, head.q, begin, rows, rows, head.key_dim, head.scale);
  fill(sum, 0, rows * V);
  fill(most, kMinusInfinity, rows);
  fill(total, 0, rows);
  for (int64_t key = head.document_start[begin]; key < end; key += kTile) {
    const int64_t keys = least(kTile, end - key);
    pack_rows(k, head.k, key, keys, kTile, head.key_dim, 1);
    transpose(kt, k, head.key_dim);
    pack_rows(v, head.v, key, keys, kTile, head.value_dim, 1);
    for (int64_t i = 0; i < rows; i += kTile) {
      const int64_t n = least(kTile, rows - i);
      if (!touches(head.document_start, begin + i, begin + i + n, key)) continue;
      fill(s, 0, n * kTile);
      multiply(s, kTile, {q + i * D, D, 1}, kt, kTile, n, kTile, head.key_dim);
      for (int64_t r = 0; r < n; ++r) {
        softmax_row(s + r * kTile, Visible(head.document_start, begin + i + r, key), most[i + r], total[i + r],
                    sum + (i + r) * V, V);
      }
      multiply(sum + i * V, V, {s, kTile, 1}, v, V, n, V, keys);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    const float inverse = 1.0f / total[r];
    T* out = o.row(begin + r);
    for (int64_t d = 0; d < head.value_dim; ++d) store(out + d, sum[r * V + d] * inverse);
    *head.lse.row(begin + r) = most[r] + __builtin_logf(total[r]);
  }
}

// From scores s and products dp = d_o v^T: s becomes the probabilities, dp the gradient of the unscaled scores.
void softmax_gradient_row(float* s, float* dp, Visible visible, float lse, float delta, float scale) {
  for (int32_t c = 0; c < kTile; ++c) {
    const bool seen = (c >= visible.first) & (c < visible.last);
    const float p = exp_f32(seen ? s[c] * scale - lse : kMinusInfinity);
    s[c] = p;
    dp[c] = scale * p * (dp[c] - delta);
  }
}

template <class T>
void backward(const AttentionHead<T>& head, const AttentionGradients<T>& gradients, float* dk, float* dv, int64_t begin,
              int64_t end, float* scratch) {
  const int64_t D = attention_padded(head.key_dim), V = attention_padded(head.value_dim), rows = end - begin;
  float *dq = scratch, *delta = dq + attention_padded_rows(rows) * D, *q = delta + attention_padded_rows(rows);
  float *k = q + kTile * D, *kt = k + kTile * D, *d_o = kt + kTile * D, *v = d_o + kTile * V, *vt = v + kTile * V;
  float *s = vt + kTile * V, *dp = s + kTile * kTile;
  fill(dq, 0, rows * D);
  for (int64_t r = 0; r < rows; ++r) {
    delta[r] = dot(gradients.d_o.row(begin + r), gradients.o.row(begin + r), head.value_dim);
  }
  for (int64_t j = 0; j < rows; j += kTile) {
    const int64_t key = begin + j, keys = least(kTile, rows - j);
    pack_rows(k, head.k, key, keys, kTile, head.key_dim, 1);
    pack_rows(v, head.v, key, keys, kTile, head.value_dim, 1);
    transpose(kt, k, head.key_dim);
    transpose(vt, v, head.value_dim);
    for (int64_t i = j; i < rows; i += kTile) {
      const int64_t n = least(kTile, rows - i), query = begin + i;
      if (!touches(head.document_start, query, query + n, key)) break;
      pack_rows(q, head.q, query, n, n, head.key_dim, 1);
      pack_rows(d_o, gradients.d_o, query, n, n, head.value_dim, 1);
      fill(s, 0, 2 * kTile * kTile);
      multiply(s, kTile, {q, D, 1}, kt, kTile, n, kTile, head.key_dim);
      multiply(dp, kTile, {d_o, V, 1}, vt, kTile, n, kTile, head.value_dim);
      for (int64_t r = 0; r < n; ++r) {
        softmax_gradient_row(s + r * kTile, dp + r * kTile, Visible(head.document_start, query + r, key),
                             *head.lse.row(query + r), delta[i + r], head.scale);
      }
      multiply(dv + j * V, V, {s, 1, kTile}, d_o, V, keys, V, n);
      multiply(dk + j * D, D, {dp, 1, kTile}, q, D, keys, D, n);
      multiply(dq + i * D, D, {dp, kTile, 1}, k, D, n, D, keys);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t d = 0; d < head.key_dim; ++d) store(gradients.dq.row(begin + r) + d, dq[r * D + d]);
  }
}

}  // namespace

template <>
AttentionKernels<float> attention_kernels<kThisIsa, float>() {
  return {forward<float>, backward<float>};
}
template <>
AttentionKernels<bfloat16> attention_kernels<kThisIsa, bfloat16>() {
  return {forward<bfloat16>, backward<bfloat16>};
}

}  // namespace birkhoff::cpu

// Plan. Documents are grouped in spans that no query crosses; a task is one head of one span. It copies its head's
// rows, which lie far apart in memory, to f32 scratch rows of padded width, and then runs over tiles of 64 queries by
// 64 keys with products that stay in registers (tile_simd.cc). A span's gradients are summed by its one task, so no two
// threads write to one place and the order of the sums does not depend on their number.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/attention/tile_simd.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"

namespace birkhoff::cpu {
namespace {

const AttentionTiles& tiles() {
  static const AttentionTiles best = on_best_isa([]<Isa isa>() { return attention_tiles<isa>(); });
  return best;
}

int64_t padded(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

struct Span {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// Cuts at document borders, each span of at least two tiles where there are that many tokens.
std::vector<Span> spans_of(const int32_t* start, int64_t T) {
  std::vector<Span> spans;
  int64_t begin = 0;
  for (int64_t t = 1; t <= T; ++t) {
    if (t < T && (start[t] != t || t - begin < 2 * kTileKeys)) continue;
    spans.push_back({begin, t});
    begin = t;
  }
  return spans;
}

// Rows [begin, begin + rows) of head h of x [T, heads, D], to and from f32 rows of a padded width.
template <class E>
void load_rows(float* to, const Tensor& x, int64_t h, int64_t begin, int64_t rows) {
  const int64_t heads = x.shape[1], D = x.shape[2], width = padded(D);
  for (int64_t r = 0; r < rows; ++r, to += width) {
    const E* from = x.as<E>() + ((begin + r) * heads + h) * D;
    for (int64_t d = 0; d < D; ++d) to[d] = static_cast<float>(from[d]);
    std::fill(to + D, to + width, 0.0f);
  }
}

template <class E>
void store_rows(const Tensor& x, int64_t h, int64_t begin, int64_t rows, const float* from) {
  const int64_t heads = x.shape[1], D = x.shape[2], width = padded(D);
  for (int64_t r = 0; r < rows; ++r, from += width) {
    E* to = x.as<E>() + ((begin + r) * heads + h) * D;
    for (int64_t d = 0; d < D; ++d) to[d] = static_cast<E>(from[d]);
  }
}

// Up to kTileKeys rows of width `width`, transposed to [width, kTileKeys], absent keys zero.
void transpose(float* to, const float* from, int64_t rows, int64_t width) {
  for (int64_t d = 0; d < width; ++d) {
    for (int64_t j = 0; j < rows; ++j) to[d * kTileKeys + j] = from[j * width + d];
    std::fill(to + d * kTileKeys + rows, to + (d + 1) * kTileKeys, 0.0f);
  }
}

// The visible keys of a tile, by query; false if none of its queries sees any.
bool visible(const int32_t* start, int64_t query, int64_t rows, int64_t key, int32_t* low, int32_t* high) {
  bool any = false;
  for (int64_t r = 0; r < rows; ++r) {
    low[r] = static_cast<int32_t>(std::clamp<int64_t>(start[query + r] - key, 0, kTileKeys));
    high[r] = static_cast<int32_t>(std::clamp<int64_t>(query + r + 1 - key, low[r], kTileKeys));
    any |= high[r] > low[r];
  }
  return any;
}

// One head of one span.
template <class E>
void forward_task(const AttentionArgs& a, const Span& span, int64_t h) {
  const int64_t H = a.q.shape[1], g = h / (H / a.k.shape[1]), n = span.size();
  const int64_t W = padded(a.q.shape[2]), Wv = padded(a.v.shape[2]);
  const int64_t key_tiles = (n + kTileKeys - 1) / kTileKeys;
  const int32_t* start = a.document_start.as<int32_t>();
  Scratch<float> keys(n * W), values(n * Wv), keys_t(key_tiles * W * kTileKeys);
  load_rows<E>(keys.data(), a.k, g, span.begin, n);
  load_rows<E>(values.data(), a.v, g, span.begin, n);
  for (int64_t j = 0; j < key_tiles; ++j) {
    const int64_t first = j * kTileKeys;
    transpose(keys_t.data() + j * W * kTileKeys, keys.data() + first * W, std::min(kTileKeys, n - first), W);
  }
  Scratch<float> q(kTileQueries * W), o(kTileQueries * Wv), s(kTileQueries * kTileKeys);
  Scratch<float> maximum(kTileQueries), sum(kTileQueries), correction(kTileQueries);
  Scratch<int32_t> low(kTileQueries), high(kTileQueries);
  for (int64_t i = 0; i < n; i += kTileQueries) {
    const int64_t rows = std::min(kTileQueries, n - i), query = span.begin + i;
    load_rows<E>(q.data(), a.q, h, query, rows);
    std::fill_n(o.data(), rows * Wv, 0.0f);
    std::fill_n(maximum.data(), rows, -1e30f);
    std::fill_n(sum.data(), rows, 0.0f);
    const int64_t first_tile = (start[query] - span.begin) / kTileKeys;
    for (int64_t j = std::max<int64_t>(first_tile, 0); j * kTileKeys < i + rows; ++j) {
      const int64_t key = j * kTileKeys, num_keys = std::min(kTileKeys, n - key);
      if (!visible(start, query, rows, span.begin + key, low.data(), high.data())) continue;
      tiles().gemm({s.data(), kTileKeys, q.data(), W, 1, keys_t.data() + j * W * kTileKeys, kTileKeys, rows, kTileKeys,
                    W, false});
      tiles().online_softmax({s.data(), low.data(), high.data(), rows, a.scale}, maximum.data(), sum.data(),
                             correction.data());
      tiles().scale_rows(o.data(), Wv, correction.data(), rows, Wv);
      tiles().gemm({o.data(), Wv, s.data(), kTileKeys, 1, values.data() + key * Wv, Wv, rows, Wv, num_keys, true});
    }
    for (int64_t r = 0; r < rows; ++r) {
      a.lse.f32()[(query + r) * H + h] = maximum[r] + std::log(sum[r]);
      sum[r] = 1 / sum[r];
    }
    tiles().scale_rows(o.data(), Wv, sum.data(), rows, Wv);
    store_rows<E>(a.o, h, query, rows, o.data());
  }
}

// What the query heads of one key head share in the backward of a span.
struct KeyHead {
  int64_t n, W, Wv, tiles;
  Scratch<float> k, k_t, v_t, dk, dv;
  KeyHead(int64_t n_, int64_t W_, int64_t Wv_)
      : n(n_),
        W(W_),
        Wv(Wv_),
        tiles((n_ + kTileKeys - 1) / kTileKeys),
        k(n * W),
        k_t(tiles * W * kTileKeys),
        v_t(tiles * Wv * kTileKeys),
        dk(n * W, 0.0f),
        dv(n * Wv, 0.0f) {}
};

template <class E>
void load_key_head(KeyHead& kv, const AttentionBackwardArgs& a, const Span& span, int64_t g) {
  Scratch<float> v(kv.n * kv.Wv);
  load_rows<E>(kv.k.data(), a.k, g, span.begin, kv.n);
  load_rows<E>(v.data(), a.v, g, span.begin, kv.n);
  for (int64_t j = 0; j < kv.tiles; ++j) {
    const int64_t first = j * kTileKeys, keys = std::min(kTileKeys, kv.n - first);
    transpose(kv.k_t.data() + j * kv.W * kTileKeys, kv.k.data() + first * kv.W, keys, kv.W);
    transpose(kv.v_t.data() + j * kv.Wv * kTileKeys, v.data() + first * kv.Wv, keys, kv.Wv);
  }
}

// One query head: adds to the key head's gradients, writes its own.
template <class E>
void backward_query_head(KeyHead& kv, const AttentionBackwardArgs& a, const Span& span, int64_t h) {
  const int64_t H = a.q.shape[1], W = kv.W, Wv = kv.Wv, n = kv.n;
  const int32_t* start = a.document_start.as<int32_t>();
  Scratch<float> q(kTileQueries * W), dq(kTileQueries * W), g(kTileQueries * Wv), o(kTileQueries * Wv);
  Scratch<float> p(kTileQueries * kTileKeys), dp(kTileQueries * kTileKeys), lse(kTileQueries), delta(kTileQueries);
  Scratch<int32_t> low(kTileQueries), high(kTileQueries);
  for (int64_t i = 0; i < n; i += kTileQueries) {
    const int64_t rows = std::min(kTileQueries, n - i), query = span.begin + i;
    load_rows<E>(q.data(), a.q, h, query, rows);
    load_rows<E>(g.data(), a.d_o, h, query, rows);
    load_rows<E>(o.data(), a.o, h, query, rows);
    std::fill_n(dq.data(), rows * W, 0.0f);
    for (int64_t r = 0; r < rows; ++r) {
      lse[r] = a.lse.f32()[(query + r) * H + h];
      delta[r] = 0;
      for (int64_t d = 0; d < Wv; ++d) delta[r] += g[r * Wv + d] * o[r * Wv + d];
    }
    for (int64_t j = (start[query] - span.begin) / kTileKeys; j * kTileKeys < i + rows; ++j) {
      const int64_t key = j * kTileKeys, keys = std::min(kTileKeys, n - key);
      if (!visible(start, query, rows, span.begin + key, low.data(), high.data())) continue;
      tiles().gemm(
          {p.data(), kTileKeys, q.data(), W, 1, kv.k_t.data() + key * W, kTileKeys, rows, kTileKeys, W, false});
      tiles().probabilities({p.data(), low.data(), high.data(), rows, a.scale}, lse.data());
      tiles().gemm({kv.dv.data() + key * Wv, Wv, p.data(), 1, kTileKeys, g.data(), Wv, keys, Wv, rows, true});
      tiles().gemm(
          {dp.data(), kTileKeys, g.data(), Wv, 1, kv.v_t.data() + key * Wv, kTileKeys, rows, kTileKeys, Wv, false});
      tiles().score_gradient(dp.data(), p.data(), delta.data(), a.scale, rows);
      tiles().gemm({dq.data(), W, dp.data(), kTileKeys, 1, kv.k.data() + key * W, W, rows, W, keys, true});
      tiles().gemm({kv.dk.data() + key * W, W, dp.data(), 1, kTileKeys, q.data(), W, keys, W, rows, true});
    }
    store_rows<E>(a.dq, h, query, rows, dq.data());
  }
}

template <class E>
void backward_task(const AttentionBackwardArgs& a, const Span& span, int64_t g) {
  const int64_t group = a.q.shape[1] / a.k.shape[1];
  KeyHead kv(span.size(), padded(a.q.shape[2]), padded(a.v.shape[2]));
  load_key_head<E>(kv, a, span, g);
  for (int64_t h = g * group; h < (g + 1) * group; ++h) backward_query_head<E>(kv, a, span, h);
  store_rows<E>(a.dk, g, span.begin, kv.n, kv.dk.data());
  store_rows<E>(a.dv, g, span.begin, kv.n, kv.dv.data());
}

// Tasks are dealt in order, a run of them a thread.
template <class Task>
void for_tasks(const Tensor& document_start, int64_t heads, Task task) {
  const std::vector<Span> spans = spans_of(document_start.as<int32_t>(), document_start.count());
  parallel_for(static_cast<int64_t>(spans.size()) * heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) task(spans[static_cast<size_t>(i / heads)], i % heads);
  });
}

}  // namespace

void attention_forward(const AttentionArgs& a) {
  with_activation_type(a.q.dtype, [&]<class E>() {
    for_tasks(a.document_start, a.q.shape[1], [&](const Span& s, int64_t h) { forward_task<E>(a, s, h); });
  });
}

void attention_backward(const AttentionBackwardArgs& a) {
  with_activation_type(a.q.dtype, [&]<class E>() {
    for_tasks(a.document_start, a.k.shape[1], [&](const Span& s, int64_t g) { backward_task<E>(a, s, g); });
  });
}

}  // namespace birkhoff::cpu

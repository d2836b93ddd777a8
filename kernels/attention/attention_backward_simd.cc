// Scores are held transposed, [keys, queries], as in the forward: their rows are then units along the queries as dk and
// dv need them, and pairs of rows are units along the keys as dq does.
#include "kernels/attention/attention_sight.h"
#include "kernels/attention/attention_simd.h"
#include "kernels/attention/attention_units.h"

namespace birkhoff::cpu {
namespace {

// Keys of a tile.
template <class U>
struct Keys {
  U *k, *v;     // rows
  U* k_across;  // [units of kTile, D]
  Keys(float* p, int64_t D, int64_t V)
      : k(reinterpret_cast<U*>(p)), v(k + kTile * D), k_across(kPer<U> == 1 ? k : v + kTile * V) {}
};

// Queries of a tile.
template <class U>
struct Queries {
  float* dq;                 // [D, kTile]; rows of q and of d_o while these are packed
  float *lse, *delta;        // [kTile], lse in units of ln 2
  Sight* sight;              // [1]
  U *q, *d_o;                // [units of the width, kTile]
  U *q_across, *d_o_across;  // [units of kTile, width]
  Queries(float* p, int64_t D, int64_t V)
      : dq(p),
        lse(dq + kTile * (D > V ? D : V)),
        delta(lse + kTile),
        sight(reinterpret_cast<Sight*>(delta + kTile)),
        q(reinterpret_cast<U*>(sight + 1)),
        d_o(q + kTile * D),
        q_across(d_o + kTile * V),
        d_o_across(q_across + kTile * D) {}
};

template <class T>
float dot(const T* a, const T* b, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += load(a + i) * load(b + i);
  return sum;
}

template <class T>
void pack_keys(float* tile, const AttentionHead<T>& head, int64_t begin, int64_t count) {
  using U = Unit<T>;
  const Keys<U> keys(tile, attention_padded(head.key_dim), attention_padded(head.value_dim));
  pack_rows(keys.k, head.k, begin, count, head.key_dim);
  pack_rows(keys.v, head.v, begin, count, head.value_dim);
  pack_across(keys.k_across, keys.k, head.key_dim);
}

// Both packings of rows: `columns` [units of dim, kTile] and `across` [units of kTile, dim].
template <class U, class T>
void pack_both(U* columns, U* across, float* work, HeadView<const T> from, int64_t begin, int64_t count, int64_t dim) {
  U* const rows = kPer<U> == 1 ? across : reinterpret_cast<U*>(work);
  pack_rows(rows, from, begin, count, dim);
  transpose(columns, kTile, rows, row_units<U>(dim), kTile, row_units<U>(dim));
  pack_across(across, rows, dim);
}

template <class T>
void pack_queries(float* tile, const AttentionHead<T>& head, const AttentionGradients<T>& gradients, int64_t begin,
                  int64_t count) {
  const int64_t D = attention_padded(head.key_dim), V = attention_padded(head.value_dim);
  const Queries<Unit<T>> queries(tile, D, V);
  pack_both(queries.q, queries.q_across, queries.dq, head.q, begin, count, head.key_dim);
  pack_both(queries.d_o, queries.d_o_across, queries.dq, gradients.d_o, begin, count, head.value_dim);
  look(*queries.sight, head, begin, count);
  fill(queries.dq, 0, kTile * D);
  fill(queries.lse, 0, kTile);
  fill(queries.delta, 0, kTile);
  for (int64_t r = 0; r < count; ++r) {
    // Where it is -inf, as of a query without keys, no weight is finite; its weights are discarded.
    if (queries.sight->last[r] >= 0) queries.lse[r] = *head.lse.row(begin + r) * kLog2E;
    queries.delta[r] = dot(gradients.d_o.row(begin + r), gradients.o.row(begin + r), head.value_dim);
  }
}

// Where add_pair writes probabilities and score gradients as units; as floats they replace s and dp.
template <class U>
struct Weights {
  U *p, *ds;     // [kTile keys, units of kTile queries]
  U* ds_across;  // [units of kTile keys, kTile queries]
};

// From scores s and products dp = v d_o^T: p = 2^(s scale - lse), ds = p (dp - delta).
template <Seen kSeen, class T>
void weigh(const Weights<Unit<T>>& w, const float* s, const float* dp, const Queries<Unit<T>>& q, int64_t key,
           float scale) {
  for (int64_t lane = 0; lane < kTile; lane += 2 * kLanes) {
    const Lanes lse[2] = {load_lanes(q.lse + lane), load_lanes(q.lse + lane + kLanes)};
    const Lanes delta[2] = {load_lanes(q.delta + lane), load_lanes(q.delta + lane + kLanes)};
    for (int64_t j = 0; j < kTile; j += 2) {
      Lanes p[2][2], ds[2][2];
#pragma GCC unroll 2
      for (int64_t i = 0; i < 2; ++i) {
#pragma GCC unroll 2
        for (int64_t v = 0; v < 2; ++v) {
          const int64_t at = (j + i) * kTile + lane + v * kLanes;
          p[i][v] = exp2_lanes<T>(load_lanes(s + at) * scale - lse[v]);
          if (kSeen == Seen::some) p[i][v] = where_seen(*q.sight, lane + v * kLanes, key + j + i, p[i][v], Lanes{});
          ds[i][v] = p[i][v] * (load_lanes(dp + at) - delta[v]);
        }
        store_along(w.p, j + i, lane, p[i][0], p[i][1]);
        if (kPer < Unit < T >>> 1) store_along(w.ds, j + i, lane, ds[i][0], ds[i][1]);
      }
      for (int64_t v = 0; v < 2; ++v) store_across(w.ds_across, j, lane + v * kLanes, ds[0][v], ds[1][v]);
    }
  }
}

template <class T>
void add_pair(const typename AttentionBackward<T>::Pair& a) {
  using U = Unit<T>;
  const int64_t D = attention_padded(a.key_dim), V = attention_padded(a.value_dim), K = kTile / kPer<U>;
  const Queries<U> q(a.queries, D, V);
  const Keys<U> keys(const_cast<float*>(a.keys), D, V);
  const Seen visible = seen(*q.sight, a.key);
  if (visible == Seen::none) return;
  float *s = a.scratch, *dp = s + kTile * kTile;
  U* const work = reinterpret_cast<U*>(kPer<U> == 1 ? s : dp + kTile * kTile);
  const Weights<U> w{work, work + kTile * K, kPer<U> == 1 ? work + kTile * K : work + 2 * kTile * K};
  multiply<Into::result, U>(
      {s, kTile, keys.k, row_units<U>(a.key_dim), 1, q.q, kTile, kTile, kTile, units<U>(a.key_dim)});
  multiply<Into::result, U>(
      {dp, kTile, keys.v, row_units<U>(a.value_dim), 1, q.d_o, kTile, kTile, kTile, units<U>(a.value_dim)});
  if (visible == Seen::all) weigh<Seen::all, T>(w, s, dp, q, a.key, a.scale * kLog2E);
  if (visible == Seen::some) weigh<Seen::some, T>(w, s, dp, q, a.key, a.scale * kLog2E);
  multiply<Into::sum, U>({a.dv, V, w.p, K, 1, q.d_o_across, V, kTile, V, K});
  multiply<Into::sum, U>({a.dk, D, w.ds, K, 1, q.q_across, D, kTile, D, K});
  multiply<Into::sum, U>({q.dq, kTile, keys.k_across, 1, D, w.ds_across, kTile, a.key_dim, kTile, K});
}

template <class T>
void write_rows(HeadView<T> to, int64_t begin, int64_t count, int64_t dim, const float* from, float factor) {
  for (int64_t r = 0; r < count; ++r, from += attention_padded(dim)) {
    T* row = to.row(begin + r);
    for (int64_t d = 0; d < dim; ++d) store(row + d, from[d] * factor);
  }
}

template <class T>
void write_queries(HeadView<T> dq, int64_t begin, int64_t count, int64_t dim, const float* tile, float factor,
                   float* scratch) {
  const int64_t D = attention_padded(dim);
  transpose(scratch, D, tile, kTile, D, kTile);
  write_rows(dq, begin, count, dim, scratch, factor);
}

template <class T>
AttentionBackward<T> pieces() {
  return {pack_keys<T>, pack_queries<T>, add_pair<T>, write_rows<T>, write_queries<T>};
}

}  // namespace

template <>
AttentionBackward<float> attention_backward_pieces<kThisIsa, float>() {
  return pieces<float>();
}
template <>
AttentionBackward<bfloat16> attention_backward_pieces<kThisIsa, bfloat16>() {
  return pieces<bfloat16>();
}

}  // namespace birkhoff::cpu

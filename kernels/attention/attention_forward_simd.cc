// Scores are held transposed, [keys, queries]: a lane is a query, so that the softmax needs no sum across lanes.
#include "kernels/attention/attention_sight.h"
#include "kernels/attention/attention_simd.h"
#include "kernels/attention/attention_units.h"

namespace birkhoff::cpu {
namespace {

// Scores may exceed the subtracted maximum by this much (as an exponent of 2) before the sums are rescaled.
constexpr float kSlack = 8;

// One tile of queries. Scores are in units of ln 2 and include the scale.
template <class U>
struct Queries {
  int64_t count;
  U* q;                 // [units of key_dim, kTile]
  float* sum;           // [value_dim, kTile]
  float *most, *total;  // [kTile]
  Sight sight;
};

// Largest scaled score of each query of a register, at least `most`.
template <Seen kSeen>
[[gnu::always_inline]] inline Lanes largest(const float* s, const Sight& sight, int64_t lane, int64_t key, float scale,
                                            Lanes most) {
  Lanes top[4] = {most, most, most, most};
  for (int64_t j = 0; j < kTile; j += 4) {
#pragma GCC unroll 4
    for (int64_t i = 0; i < 4; ++i) {
      Lanes x = load_lanes(s + (j + i) * kTile + lane) * scale;
      if (kSeen == Seen::some) x = where_seen(sight, lane, key + j + i, x, top[i]);
      top[i] = x > top[i] ? x : top[i];
    }
  }
  const Lanes a = top[0] > top[1] ? top[0] : top[1], b = top[2] > top[3] ? top[2] : top[3];
  return a > b ? a : b;
}

// One step of the online softmax: p [kTile keys, kTile queries] in units along the keys becomes 2^(s scale - most).
template <Seen kSeen, class T>
void softmax(Unit<T>* p, const float* s, Queries<Unit<T>>& q, int64_t key, float scale, int64_t value_dim) {
  for (int64_t lane = 0; lane < kTile; lane += kLanes) {
    const Lanes most = load_lanes(q.most + lane);
    Lanes top = largest<kSeen>(s, q.sight, lane, key, scale, most);
    top = top > most + kSlack ? top : most;
    Lanes even{}, odd{};
    for (int64_t j = 0; j < kTile; j += 2) {
      Lanes a = exp2_lanes<T>(load_lanes(s + j * kTile + lane) * scale - top);
      Lanes b = exp2_lanes<T>(load_lanes(s + (j + 1) * kTile + lane) * scale - top);
      if (kSeen == Seen::some) {
        a = where_seen(q.sight, lane, key + j, a, Lanes{});
        b = where_seen(q.sight, lane, key + j + 1, b, Lanes{});
      }
      store_across(p, j, lane, a, b);
      even += a;
      odd += b;
    }
    const Lanes shrink = exp2_lanes<float>(most - top);
    store_lanes(q.total + lane, load_lanes(q.total + lane) * shrink + (even + odd));
    store_lanes(q.most + lane, top);
    uint32_t changed = 0;
    for (int l = 0; l < kLanes; ++l) changed |= top[l] != most[l];
    for (int64_t d = 0; changed && d < value_dim; ++d) {
      store_lanes(q.sum + d * kTile + lane, load_lanes(q.sum + d * kTile + lane) * shrink);
    }
  }
}

template <class T>
void finish(const AttentionHead<T>& head, HeadView<T> o, int64_t begin, const Queries<Unit<T>>& q, float* rows) {
  const int64_t V = attention_padded(head.value_dim);
  transpose(rows, V, q.sum, kTile, V, kTile);
  for (int64_t r = 0; r < q.count; ++r) {
    T* out = o.row(begin + r);
    if (q.sight.last[r] < 0) {
      for (int64_t d = 0; d < head.value_dim; ++d) store(out + d, 0.0f);
      *head.lse.row(begin + r) = -INFINITY;
      continue;
    }
    const float inverse = 1.0f / q.total[r];
    for (int64_t d = 0; d < head.value_dim; ++d) store(out + d, rows[r * V + d] * inverse);
    *head.lse.row(begin + r) = q.most[r] * kLn2 + __builtin_logf(q.total[r]);
  }
}

// Keys in rows, values across, of a tile at p.
template <class U>
struct KeysAndValues {
  U *k, *v;
  KeysAndValues(float* p, int64_t D) : k(reinterpret_cast<U*>(p)), v(k + kTile * D) {}
};

template <class T>
void pack(float* tile, const AttentionHead<T>& head, int64_t begin, int64_t count, float* scratch) {
  using U = Unit<T>;
  const KeysAndValues<U> to(tile, attention_padded(head.key_dim));
  U* const rows = kPer<U> == 1 ? to.v : reinterpret_cast<U*>(scratch);
  pack_rows(to.k, head.k, begin, count, head.key_dim);
  pack_rows(rows, head.v, begin, count, head.value_dim);
  pack_across(to.v, rows, head.value_dim);
}

template <class T>
void attend(const AttentionHead<T>& head, HeadView<T> o, const float* tiles, int64_t begin, int64_t end,
            float* scratch) {
  using U = Unit<T>;
  const int64_t D = attention_padded(head.key_dim), V = attention_padded(head.value_dim);
  const int64_t width = row_units<U>(head.key_dim), count = attention_tiles(end - begin);
  float *const q = scratch, *const sum = q + kAttentionBlock * D, *const s = sum + kAttentionBlock * V;
  U* const p = reinterpret_cast<U*>(s + kTile * kTile);
  float* const rows = s + 2 * kTile * kTile;
  float most[kAttentionBlock], total[kAttentionBlock];
  fill(most, kMinusInfinity, kAttentionBlock);
  fill(total, 0, kAttentionBlock);
  fill(sum, 0, count * kTile * V);
  Queries<U> queries[kAttentionBlock / kTile];
  int64_t first = INT32_MAX, last = -1;  // of the keys that any of them sees
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = begin + i * kTile;
    queries[i] = {end - at < kTile ? end - at : kTile,
                  reinterpret_cast<U*>(q + i * kTile * D),
                  sum + i * kTile * V,
                  most + i * kTile,
                  total + i * kTile,
                  {}};
    const Sight& sight = queries[i].sight;
    look(queries[i].sight, head, at, queries[i].count);
    first = sight.least_first < first ? sight.least_first : first;
    last = sight.most_last > last ? sight.most_last : last;
    pack_rows(reinterpret_cast<U*>(rows), head.q, at, queries[i].count, head.key_dim);
    transpose(queries[i].q, kTile, reinterpret_cast<U*>(rows), width, kTile, width);
  }
  for (int64_t key = first / kTile * kTile; key <= last; key += kTile) {
    const KeysAndValues<U> keys(
        const_cast<float*>(tiles) + key / kTile * attention_forward_tile(head.key_dim, head.value_dim), D);
    for (int64_t i = 0; i < count; ++i) {
      const Seen visible = seen(queries[i].sight, key);
      if (visible == Seen::none) continue;
      multiply<Into::result, U>(
          {s, kTile, keys.k, width, 1, queries[i].q, kTile, kTile, kTile, units<U>(head.key_dim)});
      if (visible == Seen::all) softmax<Seen::all, T>(p, s, queries[i], key, head.scale * kLog2E, V);
      if (visible == Seen::some) softmax<Seen::some, T>(p, s, queries[i], key, head.scale * kLog2E, V);
      multiply<Into::sum, U>({queries[i].sum, kTile, keys.v, 1, V, p, kTile, head.value_dim, kTile, kTile / kPer<U>});
    }
  }
  for (int64_t i = 0; i < count; ++i) finish(head, o, begin + i * kTile, queries[i], rows);
}

}  // namespace

template <>
AttentionForward<float> attention_forward_pieces<kThisIsa, float>() {
  return {pack<float>, attend<float>};
}
template <>
AttentionForward<bfloat16> attention_forward_pieces<kThisIsa, bfloat16>() {
  return {pack<bfloat16>, attend<bfloat16>};
}

}  // namespace birkhoff::cpu

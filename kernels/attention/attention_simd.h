#pragma once
#include <cstdint>

#include "kernels/attention/attention_tiles.h"
#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

template <class T>
struct AttentionGradients {
  HeadView<T> dq;
  HeadView<const T> o, d_o;
};

// The backward in pieces over packed tiles of queries and of keys, which stand in raw memory of the sizes given below.
template <class T>
struct AttentionBackward {
  // Rows [begin, begin + count), count at most kAttentionTile. The tile's gradient of its queries starts at zero.
  void (*pack_keys)(float* tile, const AttentionHead<T>& head, int64_t begin, int64_t count);
  void (*pack_queries)(float* tile, const AttentionHead<T>& head, const AttentionGradients<T>& gradients, int64_t begin,
                       int64_t count);
  // What the queries at `query` and the keys at `key` add to each other: to the queries' gradient, which stands in
  // their tile, to dk [kAttentionTile, padded key_dim] and to dv.
  struct Pair {
    float *queries, *dk, *dv, *scratch;
    const float* keys;
    int64_t key;  // the first one
    int64_t key_dim, value_dim;
    float scale;
  };
  void (*add_pair)(const Pair& pair);
  // `rows` of a tile's gradients: of keys or values from [kAttentionTile, padded dim], and of queries.
  void (*write_rows)(HeadView<T> to, int64_t begin, int64_t count, int64_t dim, const float* from, float factor);
  void (*write_queries)(HeadView<T> dq, int64_t begin, int64_t count, int64_t dim, const float* tile, float factor,
                        float* scratch);
};
template <Isa isa, class T>
AttentionBackward<T> attention_backward_pieces();

constexpr int64_t attention_key_tile(int64_t key_dim, int64_t value_dim) {
  return kAttentionTile * (2 * attention_padded(key_dim) + attention_padded(value_dim));
}
constexpr int64_t attention_query_tile(int64_t key_dim, int64_t value_dim) {
  const int64_t D = attention_padded(key_dim), V = attention_padded(value_dim);
  return kAttentionTile * (2 * D + 2 * V + (D > V ? D : V) + 5);
}
constexpr int64_t attention_pair_scratch(int64_t key_dim) {
  return kAttentionTile * (4 * kAttentionTile + attention_padded(key_dim));
}

// Queries of one forward block: at most this many.
inline constexpr int64_t kAttentionBlock = 256;

// The forward of a head in blocks of queries. Keys and values stand in packed tiles, in raw memory of the sizes below:
// tile i holds the tokens from i * kAttentionTile on.
template <class T>
struct AttentionForward {
  void (*pack)(float* tile, const AttentionHead<T>& head, int64_t begin, int64_t count, float* scratch);
  // Queries [begin, end) with the keys of `tiles`.
  void (*attend)(const AttentionHead<T>& head, HeadView<T> o, const float* tiles, int64_t begin, int64_t end,
                 float* scratch);
};
template <Isa isa, class T>
AttentionForward<T> attention_forward_pieces();

constexpr int64_t attention_forward_tile(int64_t key_dim, int64_t value_dim) {
  return kAttentionTile * (attention_padded(key_dim) + attention_padded(value_dim));
}
constexpr int64_t attention_forward_scratch(int64_t key_dim, int64_t value_dim) {
  const int64_t D = attention_padded(key_dim), V = attention_padded(value_dim);
  return kAttentionBlock * (D + V) + kAttentionTile * ((D > V ? D : V) + 2 * kAttentionTile);
}

// One token of mla_heads.h: H heads, N + R elements of a key, V of a value.
struct MlaSizes {
  int64_t H, N, R, V;
};
template <class T>
struct MlaHeads {
  void (*join)(T* k, T* v, const T* kv, const T* k_rope, const MlaSizes& n);
  void (*split)(T* dkv, T* dk_rope, const T* dk, const T* dv, const MlaSizes& n);
};
template <Isa isa, class T>
MlaHeads<T> mla_heads_token();

}  // namespace birkhoff::cpu

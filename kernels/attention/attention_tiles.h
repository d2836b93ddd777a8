#pragma once
#include <cstdint>

namespace birkhoff::cpu {

// Tiles are 64 queries by 64 keys, whatever the processor; the width of a head is padded to a multiple of 16.
inline constexpr int64_t kAttentionTile = 64;
constexpr int64_t attention_padded(int64_t dim) { return (dim + 15) / 16 * 16; }
constexpr int64_t attention_tiles(int64_t rows) { return (rows + kAttentionTile - 1) / kAttentionTile; }

// The view of one head: element d of token t is p[t * stride + d].
template <class T>
struct HeadView {
  T* p;
  int64_t stride;
  T* row(int64_t t) const { return p + t * stride; }
};

template <class T>
struct AttentionHead {
  HeadView<const T> q, k, v;
  HeadView<float> lse;
  const int32_t *key_begin, *key_end;  // of each query; key_end is null where query t sees keys up to key t
  int64_t key_dim, value_dim;
  float scale;
};

}  // namespace birkhoff::cpu

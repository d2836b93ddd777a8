#pragma once
#include "kernels/attention/attention_tiles.h"
#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

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

}  // namespace birkhoff::cpu

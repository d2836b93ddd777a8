#pragma once
#include "kernels/attention/attention_tiles.h"
#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Queries of one forward block share the keys packed for it: at most this many.
inline constexpr int64_t kAttentionBlock = 256;

// Queries [begin, end) of a head, at most kAttentionBlock, over raw scratch memory of attention_forward_scratch floats.
template <class T>
using AttentionForward = void (*)(const AttentionHead<T>& head, HeadView<T> o, int64_t begin, int64_t end,
                                  float* scratch);
template <Isa isa, class T>
AttentionForward<T> attention_forward_block();

constexpr int64_t attention_forward_scratch(int64_t key_dim, int64_t value_dim) {
  const int64_t D = attention_padded(key_dim), V = attention_padded(value_dim);
  return kAttentionBlock * (D + V) + kAttentionTile * (D + 2 * V + 2 * kAttentionTile);
}

}  // namespace birkhoff::cpu

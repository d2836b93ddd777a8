#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

// Queries of one forward block share the keys packed for it: at most this many.
inline constexpr int64_t kAttentionBlock = 256;

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
  const int32_t* document_start;
  int64_t key_dim, value_dim;
  float scale;
};

template <class T>
struct AttentionGradients {
  HeadView<T> dq;
  HeadView<const T> o, d_o;
};

// Kernels of one instruction set, over raw scratch memory of the sizes given by the functions below.
template <class T>
struct AttentionKernels {
  // Queries [begin, end) of a head, at most kAttentionBlock.
  void (*forward)(const AttentionHead<T>& head, HeadView<T> o, int64_t begin, int64_t end, float* scratch);
  // Queries and keys [begin, end), whole documents: writes dq, adds to dk [rows, padded key_dim] and dv, which begin at
  // token `begin` and have a multiple of the tile's rows.
  void (*backward)(const AttentionHead<T>& head, const AttentionGradients<T>& gradients, float* dk, float* dv,
                   int64_t begin, int64_t end, float* scratch);
};
template <Isa isa, class T>
AttentionKernels<T> attention_kernels();

// Tiles are 64 queries by 64 keys; vectors of a head are padded to a multiple of 16.
inline constexpr int64_t kAttentionTile = 64;
constexpr int64_t attention_padded(int64_t dim) { return (dim + 15) / 16 * 16; }
constexpr int64_t attention_padded_rows(int64_t rows) {
  return (rows + kAttentionTile - 1) / kAttentionTile * kAttentionTile;
}
constexpr int64_t attention_forward_scratch(int64_t key_dim, int64_t value_dim) {
  const int64_t D = attention_padded(key_dim), V = attention_padded(value_dim);
  return kAttentionBlock * (D + V + 2) + kAttentionTile * (2 * D + V + kAttentionTile);
}
constexpr int64_t attention_backward_scratch(int64_t key_dim, int64_t value_dim, int64_t rows) {
  const int64_t D = attention_padded(key_dim), V = attention_padded(value_dim);
  return attention_padded_rows(rows) * (D + 1) + kAttentionTile * (3 * D + 3 * V + 2 * kAttentionTile);
}

}  // namespace birkhoff::cpu

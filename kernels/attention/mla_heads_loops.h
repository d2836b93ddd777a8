#pragma once
#include <algorithm>

#include "kernels/attention/mla_heads.h"

namespace birkhoff {

// Tokens [begin, end), elements of type T, sums of type Sum.
template <class T>
void mla_heads_tokens(const MlaHeadsArgs& a, int64_t begin, int64_t end) {
  const int64_t H = a.k.shape[1], D = a.k.shape[2], Dv = a.v.shape[2], R = a.k_rope.shape[1], N = D - R;
  for (int64_t t = begin; t < end; ++t) {
    const T* rope = a.k_rope.as<T>() + t * R;
    for (int64_t h = 0; h < H; ++h) {
      const T* kv = a.kv.as<T>() + (t * H + h) * (N + Dv);
      T* k = a.k.as<T>() + (t * H + h) * D;
      std::copy(kv, kv + N, k);
      std::copy(rope, rope + R, k + N);
      std::copy(kv + N, kv + N + Dv, a.v.as<T>() + (t * H + h) * Dv);
    }
  }
}

template <class T, class Sum>
void mla_heads_backward_tokens(const MlaHeadsBackwardArgs& a, int64_t begin, int64_t end) {
  const int64_t H = a.dk.shape[1], D = a.dk.shape[2], Dv = a.dv.shape[2], R = a.dk_rope.shape[1], N = D - R;
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t h = 0; h < H; ++h) {
      const T *dk = a.dk.as<T>() + (t * H + h) * D, *dv = a.dv.as<T>() + (t * H + h) * Dv;
      T* dkv = a.dkv.as<T>() + (t * H + h) * (N + Dv);
      std::copy(dk, dk + N, dkv);
      std::copy(dv, dv + Dv, dkv + N);
    }
    for (int64_t r = 0; r < R; ++r) {
      Sum sum = 0;
      for (int64_t h = 0; h < H; ++h) sum += static_cast<Sum>(a.dk.as<T>()[(t * H + h) * D + N + r]);
      a.dk_rope.as<T>()[t * R + r] = static_cast<T>(sum);
    }
  }
}

}  // namespace birkhoff

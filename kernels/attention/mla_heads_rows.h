#pragma once
// Tokens [begin, end) in host memory, shared by the cpu device (E f32 or bf16, A f32) and the reference (both f64).
#include <algorithm>

#include "kernels/attention/mla_heads.h"

namespace birkhoff {

template <class E>
void join_heads(const MlaHeadsArgs& a, int64_t begin, int64_t end) {
  const int64_t H = a.k.shape[1], R = a.k_rope.shape.back(), N = a.k.shape[2] - R, V = a.v.shape[2];
  for (int64_t row = begin * H; row < end * H; ++row) {
    const E* kv = a.kv.as<E>() + row * (N + V);
    std::copy_n(kv, N, a.k.as<E>() + row * (N + R));
    std::copy_n(a.k_rope.as<E>() + row / H * R, R, a.k.as<E>() + row * (N + R) + N);
    std::copy_n(kv + N, V, a.v.as<E>() + row * V);
  }
}

template <class E, class A>
void split_heads(const MlaHeadsBackwardArgs& a, int64_t begin, int64_t end) {
  const int64_t H = a.dk.shape[1], R = a.dk_rope.shape.back(), N = a.dk.shape[2] - R, V = a.dv.shape[2];
  for (int64_t t = begin; t < end; ++t) {
    const E* dk = a.dk.as<E>() + t * H * (N + R);
    for (int64_t h = 0; h < H; ++h) {
      E* dkv = a.dkv.as<E>() + (t * H + h) * (N + V);
      std::copy_n(dk + h * (N + R), N, dkv);
      std::copy_n(a.dv.as<E>() + (t * H + h) * V, V, dkv + N);
    }
    for (int64_t r = 0; r < R; ++r) {
      A sum = 0;
      for (int64_t h = 0; h < H; ++h) sum += static_cast<A>(dk[h * (N + R) + N + r]);
      a.dk_rope.as<E>()[t * R + r] = static_cast<E>(sum);
    }
  }
}

}  // namespace birkhoff

#include "kernels/attention/attention_simd.h"
#include "kernels/core/cpu/lanes.h"

namespace birkhoff::cpu {
namespace {

template <class T>
[[gnu::always_inline]] inline void copy(T* to, const T* from, int64_t count) {
  __builtin_memcpy(static_cast<void*>(to), from, static_cast<size_t>(count) * sizeof(T));
}

template <class T>
void join(T* k, T* v, const T* kv, const T* k_rope, const MlaSizes& n) {
  for (int64_t h = 0; h < n.H; ++h, k += n.N + n.R, v += n.V, kv += n.N + n.V) {
    copy(k, kv, n.N);
    copy(k + n.N, k_rope, n.R);
    copy(v, kv + n.N, n.V);
  }
}

template <class T>
void split(T* dkv, T* dk_rope, const T* dk, const T* dv, const MlaSizes& n) {
  for_lanes(n.R, [&](int64_t r, int64_t count) {
    Lanes sum{};
    for (int64_t h = 0; h < n.H; ++h) sum += load_lanes(dk + h * (n.N + n.R) + n.N + r, count);
    store_lanes(dk_rope + r, sum, count);
  });
  for (int64_t h = 0; h < n.H; ++h, dk += n.N + n.R, dv += n.V, dkv += n.N + n.V) {
    copy(dkv, dk, n.N);
    copy(dkv + n.N, dv, n.V);
  }
}

}  // namespace

template <>
MlaHeads<float> mla_heads_token<kThisIsa, float>() {
  return {join<float>, split<float>};
}
template <>
MlaHeads<bfloat16> mla_heads_token<kThisIsa, bfloat16>() {
  return {join<bfloat16>, split<bfloat16>};
}

}  // namespace birkhoff::cpu

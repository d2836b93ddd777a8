#pragma once
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff::cpu {

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

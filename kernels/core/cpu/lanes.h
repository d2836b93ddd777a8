#pragma once
// Vectors that fill one register of f32, for loops that a compiler does not vectorize well by itself. Their size is
// that of the instruction set for which the including <op>_simd.cc is compiled. Everything here has internal linkage
// (kernels/core/cpu/isa.h).
#include "kernels/core/cpu/simd.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>  // intrinsics only
#endif

namespace birkhoff {
namespace {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16, kRegisters = 32;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8, kRegisters = 16;
#else
inline constexpr int kLanes = 4, kRegisters = 16;
#endif
using Lanes [[gnu::vector_size(4 * kLanes)]] = float;
using Words [[gnu::vector_size(4 * kLanes)]] = uint32_t;
using Quad [[gnu::vector_size(16)]] = float;
using Halves [[gnu::vector_size(2 * kLanes)]] = uint16_t;

[[maybe_unused, gnu::always_inline]] inline Lanes load_lanes(const float* p) {
  Lanes v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
[[maybe_unused, gnu::always_inline]] inline Lanes load_lanes(const bfloat16* p) {
  Halves h;
  __builtin_memcpy(&h, p, sizeof h);
  return reinterpret_cast<Lanes>(__builtin_convertvector(h, Words) << 16);
}
[[maybe_unused, gnu::always_inline]] inline void store_lanes(float* p, Lanes v) { __builtin_memcpy(p, &v, sizeof v); }
#if defined(__AVX512BF16__)
// Unlike the code below, the instruction treats subnormal numbers as zero.
[[maybe_unused, gnu::always_inline]] inline void store_lanes(bfloat16* p, Lanes v) {
  const auto h = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
  __builtin_memcpy(static_cast<void*>(p), &h, sizeof h);
}
#else
[[maybe_unused, gnu::always_inline]] inline void store_lanes(bfloat16* p, Lanes v) {
  const Words u = reinterpret_cast<Words>(v);
  const Words rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, quiet = (u >> 16) | 0x40u;
  const Words nan = reinterpret_cast<Words>((u & 0x7fffffffu) > 0x7f800000u);
  const Halves h = __builtin_convertvector((nan & quiet) | (~nan & rounded), Halves);
  __builtin_memcpy(static_cast<void*>(p), &h, sizeof h);
}
#endif

// Load and store the first n elements, for the end of a row. The other lanes load as zero.
template <class T>
[[gnu::always_inline]] inline Lanes load_lanes(const T* p, int64_t n) {
  if (n == kLanes) return load_lanes(p);
  float buffer[kLanes];
  for (int l = 0; l < kLanes; ++l) buffer[l] = l < n ? load(p + l) : 0.0f;
  return load_lanes(buffer);
}
template <class T>
[[gnu::always_inline]] inline void store_lanes(T* p, Lanes v, int64_t n) {
  if (n == kLanes) return store_lanes(p, v);
  T buffer[kLanes];  // so that the tail is rounded by the same code as whole registers
  store_lanes(buffer, v);
  for (int l = 0; l < kLanes; ++l) {
    if (l < n) p[l] = buffer[l];
  }
}

[[maybe_unused, gnu::always_inline]] inline float sum(Lanes v) {
  Quad part[kLanes / 4];
  __builtin_memcpy(part, &v, sizeof v);
  for (int width = kLanes / 8; width > 0; width /= 2) {
    for (int q = 0; q < width; ++q) part[q] += part[q + width];
  }
  const Quad pairs = part[0] + __builtin_shufflevector(part[0], part[0], 2, 3, 0, 1);
  return pairs[0] + pairs[1];
}

// Calls body(c, n) for c = 0, kLanes, ... with n = kLanes, and with the remaining n for a last, partial step.
template <class Body>
[[gnu::always_inline]] inline void for_lanes(int64_t C, Body body) {
  int64_t c = 0;
  for (; c + kLanes <= C; c += kLanes) body(c, kLanes);
  if (c < C) body(c, C - c);
}

}  // namespace
}  // namespace birkhoff

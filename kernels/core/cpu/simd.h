#pragma once
// Shared by the per-instruction-set files <op>_simd.cc: element access in f32 and a vectorizable exponential.
// Everything here has internal linkage, since each such file is compiled for several processors
// (kernels/core/cpu/isa.h).
#include <cmath>
#include <cstdint>

#include "kernels/core/bfloat16.h"
#include "kernels/core/cpu/isa.h"

namespace birkhoff {
namespace {

#ifdef BIRKHOFF_ISA
inline constexpr Isa kThisIsa = Isa::BIRKHOFF_ISA;
#endif

[[maybe_unused, gnu::always_inline]] inline float load(const float* p) { return *p; }
[[maybe_unused, gnu::always_inline]] inline float load(const bfloat16* p) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(p->bits) << 16);
}
[[maybe_unused, gnu::always_inline]] inline void store(float* p, float v) { *p = v; }
[[maybe_unused, gnu::always_inline]] inline void store(bfloat16* p, float v) {
  const uint32_t u = __builtin_bit_cast(uint32_t, v);
  const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const uint32_t quiet = (u >> 16) | 0x40u;
  p->bits = static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

// Prevents -fassociative-math from regrouping operations across this value.
[[maybe_unused, gnu::always_inline]] inline float keep(float x) {
#if defined(__has_builtin)
#if __has_builtin(__builtin_assoc_barrier)
  return __builtin_assoc_barrier(x);
#endif
#endif
  return x;
}

// e^x in f32 within 3e-7; 0 below -87.3, infinity above 88.72, NaN for NaN. Cody-Waite reduction and a degree-6
// polynomial. No comparison appears twice: gcc would turn the second into a branch, and does not vectorize a loop with
// a branch. 2^n is added to the exponent bits rather than multiplied, because the compiler may regroup products and
// 2^128 is not a finite f32.
[[maybe_unused, gnu::always_inline]] inline float exp_f32(float x) {
  const float clamped = x > -87.3f ? (x < 88.7228f ? x : 88.7228f) : -87.3f;
  const float n = __builtin_rintf(clamped * 1.44269504088896f);
  const float r = keep(clamped - n * 0.693359375f) + n * 2.12194440054691e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const uint32_t power = static_cast<uint32_t>(static_cast<int32_t>(n)) << 23;
  const float y = __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, p) + power);
  const float above = y <= 1.2195e-38f ? 0.0f : y;                  // e^-87.3
  const float finite = y >= 3.4026e38f ? __builtin_inff() : above;  // e^88.7228
  return x == x ? finite : x;
}

[[maybe_unused, gnu::always_inline]] inline float sigmoid_f32(float x) { return 1.0f / (1.0f + exp_f32(-x)); }

}  // namespace
}  // namespace birkhoff

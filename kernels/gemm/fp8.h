#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace birkhoff {

// E4M3 in its finite form ("FN"): sign, 4 exponent bits with bias 7, 3 mantissa bits; no infinity, NaN is 0x7f and
// 0xff. Source: Micikevicius et al. 2022, arXiv:2209.05433; OCP 8-bit Floating Point Specification 1.0.
inline constexpr float kE4m3Max = 448.0f;
inline constexpr float kE4m3MinSubnormal = 0x1p-9f;

// Rounds to nearest, ties to even; a magnitude above 448 saturates; a NaN stays a NaN.
inline uint8_t e4m3_encode(float value) {
  const uint32_t u = std::bit_cast<uint32_t>(value);
  const uint32_t sign = u >> 24 & 0x80u, magnitude = u & 0x7fffffffu;
  uint32_t code;
  if (magnitude > 0x7f800000u) {
    code = 0x7f;
  } else if (magnitude < std::bit_cast<uint32_t>(0x1p-6f)) {
    // Subnormal: the code counts steps of 2^-9. Rounding up to 8 gives the code of 2^-6, the smallest normal number.
    code = static_cast<uint32_t>(std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p9f));
  } else if (magnitude >= std::bit_cast<uint32_t>(kE4m3Max)) {
    code = 0x7e;
  } else {
    code = ((magnitude + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20) - ((127 - 7) << 3);
  }
  return static_cast<uint8_t>(sign | code);
}

inline float e4m3_decode(uint8_t code) {
  const uint32_t exponent = code >> 3 & 15u, mantissa = code & 7u;
  float magnitude;
  if ((code & 0x7fu) == 0x7fu) {
    magnitude = std::bit_cast<float>(0x7fc00000u);
  } else if (exponent == 0) {
    magnitude = static_cast<float>(mantissa) * kE4m3MinSubnormal;
  } else {
    magnitude = std::bit_cast<float>((exponent + 127 - 7) << 23 | mantissa << 20);
  }
  return code & 0x80u ? -magnitude : magnitude;
}

// UE8M0 stores a power of two: code e is 2^(e-127), and 0xff is NaN. Returns the code of the smallest power that is not
// below the scale.
inline uint8_t ue8m0_encode_up(float scale) {
  const uint32_t u = std::bit_cast<uint32_t>(scale);
  if (!(scale <= 0x1p127f)) return 0xff;  // also for NaN
  if (scale <= 0x1p-127f) return 0;
  return static_cast<uint8_t>((u >> 23) + ((u & 0x7fffffu) != 0));
}
inline float ue8m0_decode(uint8_t code) {
  if (code == 0xff) return std::bit_cast<float>(0x7fc00000u);
  return code == 0 ? 0x1p-127f : std::bit_cast<float>(static_cast<uint32_t>(code) << 23);
}

enum class ScaleFormat : uint8_t { f32, ue8m0 };
// The scale of values whose largest magnitude is amax: a value v is stored as e4m3_encode(v / scale). The lower bound
// of amax keeps the scale of an all-zero block positive.
inline float fp8_scale(float amax, ScaleFormat format = ScaleFormat::f32) {
  const float scale = (amax < 1e-4f ? 1e-4f : amax) / kE4m3Max;
  return format == ScaleFormat::f32 ? scale : ue8m0_decode(ue8m0_encode_up(scale));
}

}  // namespace birkhoff

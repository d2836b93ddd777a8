#pragma once
#include <bit>
#include <cstdint>

namespace birkhoff {

// Brain float: the upper half of an f32. Storage only; arithmetic happens in f32.
struct bfloat16 {
  uint16_t bits = 0;

  bfloat16() = default;
  explicit bfloat16(float value) : bits(round(value)) {}
  operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }

 private:
  // Rounds to nearest, ties to even. 0x40 keeps a NaN a NaN even if all of its set mantissa bits are cut off.
  static uint16_t round(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    return static_cast<uint16_t>(nan ? (u >> 16) | 0x40u : rounded);
  }
};
static_assert(sizeof(bfloat16) == 2);

}  // namespace birkhoff

#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

namespace birkhoff {

// The value of an e4m3fn byte: sign, 4 exponent bits of bias 7, 3 mantissa bits; no infinity.
inline double e4m3_value(uint8_t byte) {
  const int exponent = byte >> 3 & 15, mantissa = byte & 7;
  if ((byte & 0x7f) == 0x7f) return std::numeric_limits<double>::quiet_NaN();
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return byte & 0x80 ? -magnitude : magnitude;
}

// The value of a UE8M0 byte: 2^(byte - 127); 255 is NaN.
inline double ue8m0_value(uint8_t byte) {
  return byte == 255 ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, byte - 127);
}

}  // namespace birkhoff

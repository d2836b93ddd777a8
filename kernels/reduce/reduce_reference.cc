#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "kernels/reduce/exact_squares.h"
#include "kernels/reduce/reduce.h"

namespace birkhoff::reference {
namespace {

constexpr int kBits = 30, kLowest = -360;

// Adds a square below 2^290. Its mantissa of 53 bits is spread over at most three digits.
void add_square(double square, std::span<int64_t> digits) {
  int exponent = 0;
  const double fraction = std::frexp(std::nearbyint(std::ldexp(square, -kLowest)), &exponent);
  auto mantissa = static_cast<uint64_t>(std::ldexp(fraction, 53));
  exponent -= 53;
  if (exponent < 0) {  // an integer below 2^53, whose low bits are 0
    mantissa >>= -exponent;
    exponent = 0;
  }
  int offset = exponent % kBits;
  for (size_t k = static_cast<size_t>(exponent / kBits); mantissa != 0; ++k) {
    const uint64_t part = mantissa & ((uint64_t{1} << (kBits - offset)) - 1);
    digits[k] += static_cast<int64_t>(part << offset);
    mantissa >>= kBits - offset;
    offset = 0;
  }
}

}  // namespace

void exact_squares(const ExactSquaresArgs& a) {
  std::array<int64_t, kSquareDigits> digits{};
  double bad = 0;
  for (int64_t i = 0; i < a.x.count(); ++i) {
    const double x = a.x.as<double>()[i];
    if (std::abs(x) < 0x1p145) {
      add_square(x * x, digits);
    } else {
      bad += std::abs(x) * std::numeric_limits<double>::infinity();
    }
  }
  for (size_t k = 0; k + 1 < digits.size(); ++k) {
    digits[k + 1] += digits[k] >> kBits;
    digits[k] &= (int64_t{1} << kBits) - 1;
  }
  for (size_t k = 0; k < digits.size(); ++k) a.digits.as<double>()[k] = static_cast<double>(digits[k]);
  a.digits.as<double>()[0] += bad;
}

void inverse_norm(const ReduceArgs& a) {
  double sum = 0;
  for (int64_t i = 0; i < a.x.count(); ++i) sum += a.x.as<double>()[i] * a.x.as<double>()[i];
  *a.out.as<double>() = sum == 0 ? 0 : 1 / std::sqrt(sum);
}

void abs_max(const ReduceArgs& a) {
  double largest = 0;
  for (int64_t i = 0; i < a.x.count(); ++i) {
    const double magnitude = std::abs(a.x.as<double>()[i]);
    if (std::isnan(magnitude) || magnitude > largest) largest = magnitude;
    if (std::isnan(largest)) break;
  }
  *a.out.as<double>() = largest;
}

void flag_nonfinite(const ReduceArgs& a) {
  for (int64_t i = 0; i < a.x.count(); ++i) {
    if (!std::isfinite(a.x.as<double>()[i])) *a.out.as<int32_t>() = 1;
  }
}

}  // namespace birkhoff::reference

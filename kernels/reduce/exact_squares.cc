#include "kernels/reduce/exact_squares.h"

#include <array>
#include <cmath>

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void exact_squares(const ExactSquaresArgs&);
}
namespace reference {
void exact_squares(const ExactSquaresArgs&);
}

void exact_squares(Stream& stream, const ExactSquaresArgs& a) {
  BK_CHECK(a.digits.shape == Shape{kSquareDigits} && a.digits.dtype == DType::f64, "exact_squares: digits is ",
           a.digits.dtype, a.digits.shape, ", expected f64[", kSquareDigits, "]");
  BK_CHECK(is_float(a.x.dtype), "exact_squares: x is ", a.x.dtype, ", expected a floating dtype");
  OpScope scope(stream, "exact_squares");
  BK_DISPATCH_HOST(stream, exact_squares, a);
}

double value_of_digits(std::span<const double> digits) {
  BK_ASSERT(digits.size() == kSquareDigits, "value_of_digits: ", digits.size(), " digits");
  if (!std::isfinite(digits[0])) return digits[0];
  // Carry until every digit is in [0, 2^30). There is only one such representation of a number. Two digits more take
  // what the last one carries.
  constexpr int64_t kBase = int64_t{1} << 30;
  std::array<int64_t, kSquareDigits + 2> canonical{};
  int64_t carry = 0;
  for (size_t k = 0; k < canonical.size(); ++k) {
    const int64_t sum = carry + (k < digits.size() ? static_cast<int64_t>(digits[k]) : 0);
    canonical[k] = ((sum % kBase) + kBase) % kBase;
    carry = (sum - canonical[k]) / kBase;
  }
  size_t top = canonical.size() - 1;
  while (top > 2 && canonical[top] == 0) --top;
  const auto digit = [&](size_t k) { return static_cast<double>(canonical[k]); };
  // The leading three digits have at least 61 bits, more than f64 keeps.
  const double lower = digit(top - 1) * kBase + digit(top - 2);
  return std::ldexp(digit(top) * kBase * kBase + lower, 30 * (static_cast<int>(top) - 2) - 360);
}

}  // namespace birkhoff

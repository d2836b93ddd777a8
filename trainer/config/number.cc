#include "trainer/config/number.h"

namespace birkhoff {

std::string shortest(double value) {
  char buffer[32];
  const bool whole = value == std::floor(value) && std::abs(value) < kMaxInt;
  const auto [end, error] = whole ? std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed)
                                  : std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, end};
}

}  // namespace birkhoff

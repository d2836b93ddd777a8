#include "kernels/core/printable.h"

#include <cstdint>
#include <cstdio>

namespace birkhoff {
namespace {

// Length in bytes and code point of a UTF-8 character that must not be printed; length 0 if it may be printed.
struct Hidden {
  size_t length = 0;
  unsigned number = 0;
};

Hidden hidden_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<uint8_t>(text[at + i]) : 0u; };
  const unsigned first = byte(0);
  if (first == 0x7f || (first < 0x20 && first != '\n' && first != '\t')) return {1, first};
  if (first == 0xc2 && byte(1) >= 0x80 && byte(1) < 0xa0) return {2, byte(1)};
  if (first != 0xe2 || (byte(1) != 0x80 && byte(1) != 0x81)) return {};
  const unsigned number = 0x2000 + (byte(1) - 0x80) * 64 + (byte(2) - 0x80);
  // Embeddings, overrides and isolates of the bidirectional algorithm.
  const bool turns_direction = (number >= 0x202a && number <= 0x202e) || (number >= 0x2066 && number <= 0x2069);
  return turns_direction ? Hidden{3, number} : Hidden{};
}

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  for (size_t at = 0; at < text.size();) {
    const Hidden hidden = hidden_at(text, at);
    if (hidden.length == 0) {
      shown += text[at++];
      continue;
    }
    char number[8];
    std::snprintf(number, sizeof number, hidden.length == 1 ? "\\x%02x" : "\\u%04x", hidden.number);
    shown += number;
    at += hidden.length;
  }
  return shown;
}

}  // namespace birkhoff

#include "data/tokenizer/byte_level.h"

#include "data/tokenizer/unicode.h"

namespace birkhoff {
namespace {

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<int16_t, 0x144> bytes;  // byte of each code point, or -1

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      const char32_t c = printable ? static_cast<char32_t>(b) : next++;
      append_utf8(characters[b], c);
      bytes[c] = static_cast<int16_t>(b);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::array<std::string, 256>& byte_characters() { return alphabet().characters; }

std::string to_byte_level(std::string_view bytes) {
  std::string out;
  for (const char b : bytes) out += byte_characters()[static_cast<uint8_t>(b)];
  return out;
}

std::optional<std::string> from_byte_level(std::string_view token) {
  std::string out;
  for (size_t at = 0; at < token.size();) {
    const char32_t c = next_code_point(token, at);
    if (c >= alphabet().bytes.size() || alphabet().bytes[c] < 0) return std::nullopt;
    out += static_cast<char>(alphabet().bytes[c]);
  }
  return out;
}

}  // namespace birkhoff

#pragma once
// The alphabet of byte-level BPE: tokenizer files spell each byte as one printable character. Printable Latin-1 bytes
// stand for themselves. The other 68 are mapped to U+0100 and up, in order.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace birkhoff {

// The character of each byte, as UTF-8.
const std::array<std::string, 256>& byte_characters();

std::string to_byte_level(std::string_view bytes);

// The bytes that a token spells, or nullopt if it contains a character outside the alphabet.
std::optional<std::string> from_byte_level(std::string_view token);

}  // namespace birkhoff

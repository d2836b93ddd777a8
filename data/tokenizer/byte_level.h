#pragma once
// The alphabet of byte-level BPE: each byte has a printable character, by which tokenizer files spell tokens.
// Printable Latin-1 bytes stand for themselves, the other 68 for U+0100 and on, in order.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace birkhoff {

// The character of each byte, as UTF-8.
const std::array<std::string, 256>& byte_characters();

std::string to_byte_level(std::string_view bytes);

// The bytes that a token spells; nothing when it holds a character outside the alphabet.
std::optional<std::string> from_byte_level(std::string_view token);

}  // namespace birkhoff

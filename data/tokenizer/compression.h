#pragma once
// Tokenizer compression of Engram: a surjection of token ids onto the ids of their normalized texts.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace birkhoff {

// NFKC, NFD, marks removed, lower case, each run of [space tab CR LF] to one space, white space stripped at both ends
// unless the text is now exactly one space. May be empty. The text must be UTF-8.
// Source: Engram demo and the V4.1 release (spec of tokenizer compression, normalizer sequence).
std::string engram_normalize(std::string_view text);

// The key of a token's decoded text: engram_normalize(text), or the text itself when that is empty.
std::string engram_key(std::string_view text);

struct TokenizerCompression {
  std::vector<int32_t> map;  // [V]: token id -> compressed id
  int32_t compressed_size;   // V': number of distinct keys

  // Hex SHA-256 of the map as little-endian integers; other implementations publish these.
  std::string sha256_int32() const;
  std::string sha256_int64() const;
};

// Key of an id: engram_key(decode(id)), or the token as the file spells it when decode(id) is not UTF-8 (or holds
// U+FFFD). Compressed ids number the keys by first appearance in id order. Ids without a token are keys of their own.
TokenizerCompression compress_tokenizer(const Tokenizer& tokenizer);

}  // namespace birkhoff

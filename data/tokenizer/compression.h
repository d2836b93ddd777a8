#pragma once
// Tokenizer compression of Engram: maps token ids to the ids of their normalized texts, so that variants of a word
// share an id.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace birkhoff {

// Applies in order: NFKC, NFD, removal of marks, lower case, replacement of each run of [space tab CR LF] by one space,
// and removal of white space at both ends unless the text is exactly one space. Each U+E000 that is left becomes a
// space, because the source uses it to mark that single space. The result may be empty. The text must be UTF-8.
//
// Source: the demo of Engram, arXiv:2601.07372, and the release of DeepSeek-V4.1: the normalizers of the tokenizer
//         compression and their order.
std::string engram_normalize(std::string_view text);

// The key of a token's decoded text: engram_normalize(text), or, if the result is empty, the text itself.
std::string engram_key(std::string_view text);

struct TokenizerCompression {
  std::vector<int32_t> map;  // [V]: token id -> compressed id
  int32_t compressed_size;   // V': number of distinct keys

  // Hexadecimal SHA-256 of the map as little-endian integers, for comparison with the values that other implementations
  // publish.
  std::string sha256_int32() const;
  std::string sha256_int64() const;
};

// Tokens with equal keys share a compressed id. The key of an id is engram_key(decode(id)), or the token as the file
// spells it if decode(id) is not UTF-8 or contains U+FFFD. An id without a token has a key of its own. Compressed ids
// number the keys in the order in which they first appear.
TokenizerCompression compress_tokenizer(const Tokenizer& tokenizer);

}  // namespace birkhoff

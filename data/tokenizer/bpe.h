#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/json_fields.h"

namespace birkhoff {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using TokenIds = std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>>;

// The model of a tokenizer.json: byte pair encoding of one word. Starts from the bytes (byte-level) or the characters
// of the word. As long as two neighbors can be merged, it applies the possible merge that comes first in the list of
// merges; among equals, the leftmost.
class Bpe {
 public:
  enum class Symbols { bytes, characters };

  // Errors: UserError for other models, dropout, subword prefixes or suffixes, merges of unknown tokens, and a
  //         byte-level vocabulary that lacks one of the 256 bytes and has no unk_token.
  static Bpe from_json(const Json& json, Symbols symbols);

  // Appends the ids of a word. A symbol outside the vocabulary becomes its bytes <0x..> (byte_fallback) or unk_token.
  // If the file has neither, it is dropped.
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

  const TokenIds& vocabulary() const { return vocabulary_; }
  bool byte_fallback() const { return byte_fallback_; }

 private:
  struct Merge {
    int32_t rank, id;
  };
  struct Work;

  void read_vocabulary(const Json& json);
  void read_merges(const Json& json);
  void add_symbol(std::string_view symbol, Work& work) const;
  const Merge* merge_of(int32_t left, int32_t right) const;
  void merge_all(Work& work, std::vector<int32_t>& ids) const;

  Symbols symbols_ = Symbols::bytes;
  TokenIds vocabulary_;
  std::unordered_map<uint64_t, Merge> merges_;
  std::vector<int32_t> byte_ids_;  // id of each byte, or -1
  std::optional<int32_t> unknown_;
  bool fuse_unknown_ = false, byte_fallback_ = false, ignore_merges_ = false;
};

}  // namespace birkhoff

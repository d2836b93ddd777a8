#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/json_fields.h"
#include "data/tokenizer/normalizer.h"

namespace birkhoff {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool special = false, single_word = false, left_strip = false, right_strip = false, normalized = false;
};

// A stretch of text: an added token with its id, or text without added tokens.
struct AddedStretch {
  std::string_view text;
  std::optional<int32_t> id;
};

// Finds added tokens in text. The leftmost match wins, and at one position the longest.
class AddedTokenFinder {
 public:
  void add(std::string_view spelling, const AddedToken& token);
  void prepare();  // call once, after the last add()
  bool empty() const { return tokens_.empty(); }

  // Cuts the text into stretches, none of them empty. lstrip and rstrip make a token absorb the white space beside it;
  // single_word requires that no word character adjoins it.
  void cut(std::string_view text, std::vector<AddedStretch>& out) const;

 private:
  struct Entry {
    std::string spelling;
    AddedToken token;
  };
  const Entry* match_at(std::string_view text) const;
  bool stands_alone(const Entry& entry, std::string_view text, size_t at) const;

  std::vector<Entry> tokens_;
  std::array<std::vector<uint32_t>, 256> by_first_byte_;  // indices into tokens_, longest first
};

// The "added_tokens" of a tokenizer.json.
std::vector<AddedToken> added_tokens_from_json(const Json& json);

}  // namespace birkhoff

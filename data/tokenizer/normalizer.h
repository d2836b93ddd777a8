#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/tokenizer/json_fields.h"
#include "data/tokenizer/regex.h"
#include "data/tokenizer/unicode.h"

namespace birkhoff {

// The pattern of a tokenizer file: {"String": text} or {"Regex": pattern}.
Regex regex_from_json(const Json& pattern);

// The normalizer of a tokenizer.json, flattened: NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace
// and sequences of these. Others are refused by name.
class Normalizer {
 public:
  static Normalizer from_json(const Json& json);  // null: none

  bool empty() const { return steps_.empty(); }
  std::string operator()(std::string text) const;  // bytes that are not UTF-8 pass unchanged, and cut the text

 private:
  struct Lowercase {};
  struct StripAccents {};
  struct Prepend {
    std::string text;
  };
  struct Replace {
    Regex pattern;
    std::string text;
  };
  using Step = std::variant<NormalForm, Lowercase, StripAccents, Ends, Prepend, Replace>;
  struct Apply;

  void append(const Json& json);

  std::vector<Step> steps_;
};

}  // namespace birkhoff

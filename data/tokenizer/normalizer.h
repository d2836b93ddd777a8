#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/tokenizer/json_fields.h"
#include "data/tokenizer/regex.h"
#include "data/tokenizer/unicode.h"

namespace birkhoff {

// Reads a pattern of a tokenizer file: {"String": text} or {"Regex": pattern}.
Regex regex_from_json(const Json& pattern);

// The normalizer of a tokenizer.json as a flat list of steps: NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip,
// Prepend, Replace, and sequences of these. Others are rejected by name.
class Normalizer {
 public:
  static Normalizer from_json(const Json& json);  // null: no normalizer

  bool empty() const { return steps_.empty(); }
  // Normalizes a text. Bytes that are not UTF-8 are kept; the texts before and after them are normalized separately.
  std::string operator()(std::string text) const;

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

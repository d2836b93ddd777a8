#pragma once
// Byte-level BPE as described by tokenizer.json files of Hugging Face (GPT-2, Llama-3 and DeepSeek styles).
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff {

struct TokenizerModel;

// Whether encode() adds the tokens of the file's post-processor (such as <bos>), and whether decode() keeps special
// tokens.
enum class SpecialTokens { omit, keep };

// A tokenizer read from a tokenizer.json. It is immutable, and copies share its tables.
//
//   encode   Cuts out added tokens, normalizes the rest, splits it by the pre-tokenizer, and merges by BPE. The ids are
//            those of Hugging Face `tokenizers` for every text of assigned code points (PCRE2 10.42 and ICU 72: Unicode
//            15 or 14). Bytes that are not UTF-8 are accepted: each maximal run of them is a word of its own. No
//            normalizer, regex or prefix space applies to it, and the texts on both sides are split as if the text
//            ended there.
//   decode   Concatenates the bytes of the tokens. Without a normalizer and a prefix space, decode(encode(x)) == x for
//            every byte string x. Unlike `tokenizers`, it does not replace invalid UTF-8 by U+FFFD.
// Errors: UserError names anything unsupported in the file; nothing is ignored. decode() refuses ids outside the
//         vocabulary.
// Cost: const functions may be called from any number of threads. Each call borrows a cache of words from the object.
class Tokenizer {
 public:
  static Tokenizer load(const std::string& path);
  static Tokenizer parse(std::string_view json);

  std::vector<int32_t> encode(std::string_view text, SpecialTokens special = SpecialTokens::omit) const;
  std::string decode(std::span<const int32_t> ids, SpecialTokens special = SpecialTokens::keep) const;

  int32_t vocab_size() const;                                  // largest id + 1; ids may have gaps
  std::optional<int32_t> id_of(std::string_view token) const;  // of a token as the file spells it
  std::optional<std::string> token_of(int32_t id) const;       // the inverse of id_of()
  bool is_special(int32_t id) const;

  // The file does not say which tokens have these roles. Returns the first special token with one of the customary
  // names (<|endoftext|>, <|end_of_text|>, <｜end▁of▁sentence｜>, </s>, ... see tokenizer.cc).
  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  std::optional<int32_t> pad() const;

  const std::string& to_json() const;  // the text that it was read from, byte for byte

 private:
  std::optional<int32_t> first_special(std::initializer_list<std::string_view> names) const;
  explicit Tokenizer(std::shared_ptr<const TokenizerModel> model);
  std::shared_ptr<const TokenizerModel> model_;
};

}  // namespace birkhoff

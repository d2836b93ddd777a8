#pragma once
// Byte-level BPE as Hugging Face tokenizer.json files describe it (GPT-2, Llama-3 and DeepSeek styles).
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

// Whether encode adds the tokens of the file's post-processor (as <bos>), and whether decode keeps special tokens.
enum class SpecialTokens { omit, keep };

// A tokenizer read from a tokenizer.json. An immutable value: copies share the tables.
//
//   encode   added tokens are cut out, the rest is normalized, cut by the pre-tokenizer and merged by BPE. The ids are
//            those of Hugging Face `tokenizers` for every text of assigned code points (PCRE2 10.42 and ICU 72: Unicode
//            15 or 14). Bytes that are not UTF-8 are accepted: each maximal run of them is a word of its own that no
//            normalizer, regex or prefix space touches, and the texts around it are cut as if it ended there.
//   decode   concatenates the bytes of the tokens. Without normalizer and prefix space decode(encode(x)) == x for every
//            byte string x. Unlike `tokenizers` it does not replace broken UTF-8 by U+FFFD.
// Errors: UserError names whatever the file asks for that is not supported; nothing is ignored. decode refuses ids
//         outside the vocabulary.
// Cost: const functions may be called from any number of threads; each call borrows a cache of words from the object.
class Tokenizer {
 public:
  static Tokenizer load(const std::string& path);
  static Tokenizer parse(std::string_view json);

  std::vector<int32_t> encode(std::string_view text, SpecialTokens special = SpecialTokens::omit) const;
  std::string decode(std::span<const int32_t> ids, SpecialTokens special = SpecialTokens::keep) const;

  int32_t vocab_size() const;                                  // largest id + 1; ids that no token has are legal holes
  std::optional<int32_t> id_of(std::string_view token) const;  // a token as the file spells it
  std::optional<std::string> token_of(int32_t id) const;       // its inverse
  bool is_special(int32_t id) const;

  // The file does not say which token plays which part: the first special token with one of the customary names
  // (<|endoftext|>, <|end_of_text|>, <｜end▁of▁sentence｜>, </s>, ... see tokenizer.cc).
  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  std::optional<int32_t> pad() const;

  const std::string& to_json() const;  // the text it was read from, byte for byte

 private:
  std::optional<int32_t> first_special(std::initializer_list<std::string_view> names) const;
  explicit Tokenizer(std::shared_ptr<const TokenizerModel> model);
  std::shared_ptr<const TokenizerModel> model_;
};

}  // namespace birkhoff

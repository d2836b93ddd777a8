#pragma once
// Training of byte-level BPE: the same merges, in the same order, as BpeTrainer of Hugging Face `tokenizers`.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace birkhoff {

struct TokenizerTraining {
  int32_t vocab_size = 8192;                                    // special tokens and the 256 bytes included
  int64_t min_frequency = 2;                                    // pairs seen less often are not merged
  std::string pattern = "llama3";                               // how text is cut into words: see pattern_names()
  std::vector<std::string> special_tokens = {"<|endoftext|>"};  // ids 0, 1, ... in this order
};

// Counts words, then merges the most frequent pair until the vocabulary is full; ties go to the pair of smaller ids.
// The order of feeding does not matter. Special tokens within fed text are not treated as such.
// Ids: special tokens, the 256 bytes in the order of their byte-level characters, then merges.
// Errors: UserError for an unknown pattern, a vocabulary smaller than its base, a repeated or empty special token.
// Cost: counting is bound by the regex; training by sum over merges of the words that hold the pair.
class TokenizerTrainer {
 public:
  explicit TokenizerTrainer(TokenizerTraining options);
  ~TokenizerTrainer();

  void feed(std::string_view text);  // one document, or one piece of text that ends where a word may end
  Tokenizer train() const;           // smaller than vocab_size when the pairs run out

 private:
  struct Counts;
  std::unique_ptr<Counts> counts_;
  TokenizerTraining options_;
};

}  // namespace birkhoff

#pragma once
// Trains byte-level BPE. Learns the same merges in the same order as BpeTrainer of Hugging Face `tokenizers`.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace birkhoff {

struct TokenizerTraining {
  int32_t vocab_size = 8192;                                    // including special tokens and the 256 bytes
  int64_t min_frequency = 2;                                    // rarer pairs are not merged
  std::string pattern = "llama3";                               // how text is split into words; see pattern_names()
  std::vector<std::string> special_tokens = {"<|endoftext|>"};  // ids 0, 1, ... in this order
};

// Counts words, then merges the most frequent pair until the vocabulary is full. Ties go to the pair with the smaller
// ids. The order of the texts does not matter. Special tokens that occur in a text are treated as ordinary text.
// Ids: special tokens, then the 256 bytes in the order of their byte-level characters, then merges.
// Errors: UserError for an unknown pattern, for a vocabulary that is too small for the special tokens and the bytes,
//         and for a special token that is repeated, empty, not UTF-8, or the character of a byte.
// Cost: counting is bound by the regex. Training visits, for each merge, the words that contain its pair.
class TokenizerTrainer {
 public:
  explicit TokenizerTrainer(TokenizerTraining options);
  ~TokenizerTrainer();

  void feed(std::string_view text);  // one document, or a part of one that ends at a word boundary
  Tokenizer train() const;           // has fewer than vocab_size tokens if the pairs run out

 private:
  struct Counts;
  std::unique_ptr<Counts> counts_;
  TokenizerTraining options_;
};

}  // namespace birkhoff

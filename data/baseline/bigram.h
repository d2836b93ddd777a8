#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <unordered_map>
#include <vector>

namespace birkhoff {

// Counts how often each token follows each other token: the statistics that a bigram model is estimated from.
class BigramCounts {
 public:
  explicit BigramCounts(int64_t vocab_size) : vocab_size_(vocab_size) {}
  // Counts the pairs of a document. The token before the first one is `begin`. A token whose loss mask is 0 serves as
  // context only.
  void add(std::span<const int32_t> document, std::span<const uint8_t> loss_mask, int32_t begin);
  void add(int32_t before, int32_t token) { ++pairs_[key(before, token)]; }

 private:
  friend class BigramModel;
  // before * V + token, so that key / V and key % V give the two tokens back.
  uint64_t key(int32_t before, int32_t token) const {
    return static_cast<uint64_t>(before) * static_cast<uint64_t>(vocab_size_) + static_cast<uint64_t>(token);
  }
  int64_t vocab_size_;
  std::unordered_map<uint64_t, int64_t> pairs_;
};

// Interpolated Kneser-Ney smoothing with one discount per order:
//   p(w | v) = max(c(v,w) - D, 0) / c(v)  +  D n(v.) / c(v) q(w)
//   q(w)     = max(n(.w) - D', 0) / n(..) +  D' m / n(..) / V
//   D = n1 / (n1 + 2 n2)
// c(v,w) is the number of times w follows v, and c(v) its sum over w. n counts distinct pairs: n(v.) those that begin
// with v, n(.w) those that end with w, n(..) all. m is the number of tokens w with n(.w) > 0, and V the vocabulary
// size. n1 and n2 are the numbers of pairs seen exactly once and twice; D' follows the same formula with the n(.w) in
// the place of the c(v,w). Both discounts are clamped to [0.1, 0.9]. p(. | v) sums to one over the vocabulary, and
// equals q if no token ever followed v.
// Errors: UserError if nothing was counted.
// Source: Kneser and Ney 1995; interpolated as in Chen and Goodman 1998, section 2.7.
class BigramModel {
 public:
  explicit BigramModel(BigramCounts counts);
  double probability(int32_t before, int32_t token) const;
  double nats(std::span<const int32_t> document, std::span<const uint8_t> loss_mask, int32_t begin) const;

 private:
  struct Context {
    int64_t pairs = 0, kinds = 0;  // c(v) and n(v.)
  };
  BigramCounts counts_;
  std::vector<Context> contexts_;  // [V], by the first token of a pair
  std::vector<double> backoff_;    // [V], q(w)
  double discount_ = 0;
};

// The held-out loss of a bigram model. A language model that does not beat it has learned no more than the frequencies
// of pairs of tokens. Every stored token is scored once, as in data/loader/eval_reader.h.
struct BigramScore {
  int64_t train_tokens = 0, tokens = 0, source_bytes = 0;
  double loss = 0;  // nats per token
  double bits_per_byte = 0;
};

// The training data of the model: the whole training split or, if num_sequences > 0, exactly the targets in the first
// `num_sequences` sequences of a run whose only source is this dataset under its default name.
struct BigramTraining {
  std::filesystem::path dataset;
  int64_t num_sequences = 0;  // 0: the whole split
  int64_t sequence_length = 0;
  uint64_t seed = 1;  // data.seed of the run
};
BigramScore score_bigram(const BigramTraining& training);

}  // namespace birkhoff

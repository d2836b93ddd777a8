#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <unordered_map>
#include <vector>

namespace birkhoff {

// What a token follows and how often, the raw material of a bigram model.
class BigramCounts {
 public:
  explicit BigramCounts(int64_t vocab_size) : vocab_size_(vocab_size) {}
  // The first token of a document follows `begin`. A token whose mask is 0 is context only.
  void add(std::span<const int32_t> document, std::span<const uint8_t> loss_mask, int32_t begin);
  void add(int32_t before, int32_t token) { ++pairs_[key(before, token)]; }

 private:
  friend class BigramModel;
  uint64_t key(int32_t before, int32_t token) const {
    return static_cast<uint64_t>(before) * static_cast<uint64_t>(vocab_size_) + static_cast<uint64_t>(token);
  }
  int64_t vocab_size_;
  std::unordered_map<uint64_t, int64_t> pairs_;
};

// Interpolated Kneser-Ney with one discount an order:
//   p(w | v) = max(c(v,w) - D, 0) / c(v)  +  D n(v.) / c(v) q(w)           c counts pairs, n counts kinds of pairs
//   q(w)     = max(n(.w) - D', 0) / n(..) +  D' m / n(..) / V              m tokens follow anything at all
//   D = n1 / (n1 + 2 n2), n1 and n2 the pairs seen once and twice; D' likewise of n(.w); both kept within [0.1, 0.9]
// p(. | v) sums to one over the vocabulary, and is q for a v that was never followed by anything.
// Errors: UserError if nothing was counted.
// Source: Kneser and Ney 1995; interpolated as in Chen and Goodman 1998, section 2.7.
class BigramModel {
 public:
  explicit BigramModel(BigramCounts counts);
  double probability(int32_t before, int32_t token) const;
  double nats(std::span<const int32_t> document, std::span<const uint8_t> loss_mask, int32_t begin) const;

 private:
  struct Context {
    int64_t pairs = 0, kinds = 0;
  };
  BigramCounts counts_;
  std::vector<Context> contexts_;  // [V], as what comes before
  std::vector<double> backoff_;    // [V], q
  double discount_ = 0;
};

// The held-out loss of a bigram model: what a language model must beat to have learned more than which token follows
// which. Every stored token is scored once, as data/loader/eval_reader.h does.
struct BigramScore {
  int64_t train_tokens = 0, tokens = 0, source_bytes = 0;
  double loss = 0;  // nats per token
  double bits_per_byte = 0;
};

// What the model learns from: the whole training split, or the very targets of the first `num_sequences` that a run
// reads whose only source is this dataset, under its default name.
struct BigramTraining {
  std::filesystem::path dataset;
  int64_t num_sequences = 0;  // 0: the whole split
  int64_t sequence_length = 0;
  uint64_t seed = 1;  // data.seed of the run
};
BigramScore score_bigram(const BigramTraining& training);

}  // namespace birkhoff

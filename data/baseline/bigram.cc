#include "data/baseline/bigram.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/loader/loader.h"
#include "data/shard/shard_set.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// Calls use(before, token) for every token of the document that is a target (loss mask 1).
template <class Use>
void for_each_pair(std::span<const int32_t> document, std::span<const uint8_t> loss_mask, int32_t begin, Use use) {
  BK_ASSERT(loss_mask.size() == document.size());
  for (size_t i = 0; i < document.size(); ++i) {
    if (loss_mask[i]) use(i == 0 ? begin : document[i - 1], document[i]);
  }
}

// Estimates the discount D = n1 / (n1 + 2 n2), which leaving one observation out gives, from the number of counts that
// are one (n1) and two (n2).
class DiscountEstimate {
 public:
  void add(int64_t count) {
    ones_ += count == 1;
    twos_ += count == 2;
  }
  double value() const {
    const double ones = static_cast<double>(ones_), twos = static_cast<double>(twos_);
    return ones_ == 0 ? 0.1 : std::clamp(ones / (ones + 2 * twos), 0.1, 0.9);
  }

 private:
  int64_t ones_ = 0, twos_ = 0;
};

double discounted(int64_t count, double discount) { return std::max(static_cast<double>(count) - discount, 0.0); }

// The lower-order distribution q(w) of the header. kinds_before[w] is n(.w) and all_kinds is n(..).
std::vector<double> backoff_of(const std::vector<int64_t>& kinds_before, int64_t all_kinds) {
  DiscountEstimate estimate;
  for (int64_t kinds : kinds_before) estimate.add(kinds);
  const double discount = estimate.value(), all = static_cast<double>(all_kinds);
  const auto unseen = std::count(kinds_before.begin(), kinds_before.end(), 0);
  const double V = static_cast<double>(kinds_before.size()), seen = V - static_cast<double>(unseen);
  std::vector<double> q(kinds_before.size());
  for (size_t w = 0; w < q.size(); ++w) q[w] = (discounted(kinds_before[w], discount) + discount * seen / V) / all;
  return q;
}

}  // namespace

void BigramCounts::add(std::span<const int32_t> document, std::span<const uint8_t> loss_mask, int32_t begin) {
  for_each_pair(document, loss_mask, begin, [this](int32_t before, int32_t token) { add(before, token); });
}

BigramModel::BigramModel(BigramCounts counts) : counts_(std::move(counts)) {
  BK_CHECK(!counts_.pairs_.empty(), "a bigram model needs at least one token to learn from");
  const auto V = static_cast<uint64_t>(counts_.vocab_size_);
  contexts_.resize(V);
  std::vector<int64_t> kinds_before(V, 0);
  DiscountEstimate estimate;
  for (const auto& [key, count] : counts_.pairs_) {
    contexts_[key / V].pairs += count;
    ++contexts_[key / V].kinds;
    ++kinds_before[key % V];
    estimate.add(count);
  }
  discount_ = estimate.value();
  backoff_ = backoff_of(kinds_before, static_cast<int64_t>(counts_.pairs_.size()));
}

double BigramModel::probability(int32_t before, int32_t token) const {
  const Context& context = contexts_[static_cast<size_t>(before)];
  const double q = backoff_[static_cast<size_t>(token)];
  if (context.pairs == 0) return q;
  const auto pair = counts_.pairs_.find(counts_.key(before, token));
  const double own = pair == counts_.pairs_.end() ? 0 : discounted(pair->second, discount_);
  return (own + discount_ * static_cast<double>(context.kinds) * q) / static_cast<double>(context.pairs);
}

double BigramModel::nats(std::span<const int32_t> document, std::span<const uint8_t> loss_mask, int32_t begin) const {
  double sum = 0;
  for_each_pair(document, loss_mask, begin,
                [&](int32_t before, int32_t token) { sum -= std::log(probability(before, token)); });
  return sum;
}

namespace {

int64_t num_targets(const TextSample& d) { return std::count(d.loss_mask.begin(), d.loss_mask.end(), 1); }

int64_t count_split(const BigramTraining& training, BigramCounts& counts) {
  ShardSet split(training.dataset, "train");
  int64_t tokens = 0;
  for (int64_t i = 0; i < split.num_samples(); ++i) {
    const TextSample document = split.read_text(i);
    counts.add(document.tokens, document.loss_mask, split.manifest().begin_token);
    tokens += num_targets(document);
  }
  return tokens;
}

int64_t count_sequences(const BigramTraining& training, int64_t vocab_size, BigramCounts& counts) {
  BK_CHECK(training.sequence_length > 0, "sequences of length ", training.sequence_length, " hold no tokens");
  LoaderOptions options;
  // The default name: the order of the samples depends on it.
  options.sources = {{training.dataset.filename().string(), training.dataset, 1.0}};
  options.seed = training.seed;
  options.vocab_size = vocab_size;
  Loader loader(options);
  int64_t tokens = 0;
  for (int64_t i = 0; i < training.num_sequences; ++i) {
    const Batch sequence = loader.next({1, 1, training.sequence_length}).microbatches[0];
    for (size_t t = 0; t < sequence.tokens.size(); ++t) {
      if (sequence.targets[0][t] < 0) continue;
      counts.add(sequence.tokens[t], sequence.targets[0][t]);
      ++tokens;
    }
  }
  return tokens;
}

}  // namespace

BigramScore score_bigram(const BigramTraining& training) {
  ShardSet heldout(training.dataset, "heldout");
  const int64_t vocab_size = heldout.manifest().vocab_size;
  BigramScore score;
  BigramCounts counts(vocab_size);
  score.train_tokens =
      training.num_sequences > 0 ? count_sequences(training, vocab_size, counts) : count_split(training, counts);
  const BigramModel model(std::move(counts));
  double nats = 0;
  for (int64_t i = 0; i < heldout.num_samples(); ++i) {
    const TextSample document = heldout.read_text(i);
    nats += model.nats(document.tokens, document.loss_mask, heldout.manifest().begin_token);
    score.tokens += num_targets(document);
    score.source_bytes += document.source_bytes;
  }
  if (score.tokens == 0) throw DataError(concat(training.dataset.string(), ": nothing in split 'heldout' to score"));
  score.loss = nats / static_cast<double>(score.tokens);
  score.bits_per_byte = nats / std::numbers::ln2 / static_cast<double>(std::max<int64_t>(1, score.source_bytes));
  return score;
}

}  // namespace birkhoff

#include "data/tokenizer/merge_learner.h"

#include <algorithm>
#include <utility>

namespace birkhoff {
namespace {

// Packs a pair into a number. The order of the numbers is that of (left, right).
uint64_t pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}
int32_t left_of(uint64_t pair) { return static_cast<int32_t>(pair >> 32); }
int32_t right_of(uint64_t pair) { return static_cast<int32_t>(pair & 0xffffffffu); }

}  // namespace

MergeLearner::MergeLearner(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {
  for (size_t id = 0; id < tokens_.size(); ++id) ids_.emplace(tokens_[id], static_cast<int32_t>(id));
}

void MergeLearner::add_word(std::vector<int32_t> symbols, int64_t count) {
  if (symbols.size() > 1) words_.push_back({std::move(symbols), count});
}

void MergeLearner::learn(int32_t vocab_size, int64_t min_frequency) {
  for (uint32_t w = 0; w < words_.size(); ++w) {
    const auto& symbols = words_[w].symbols;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) count_pair(pair_of(symbols[i], symbols[i + 1]), 1, w);
  }
  queue_gains();
  while (static_cast<int32_t>(tokens_.size()) < vocab_size && !queue_.empty()) {
    Entry top = pop();
    const int64_t count = counts_[top.pair];
    // The count has changed since this entry was queued: put it back where it belongs.
    if (count != top.count) {
      top.count = count;
      push(std::move(top));
      continue;
    }
    if (count < 1 || count < min_frequency) break;
    const int32_t id = id_of_merged(top.pair);
    merges_.push_back({left_of(top.pair), right_of(top.pair), id});
    for (const uint32_t word : top.words) merge_in(word, top.pair, id);
    queue_gains();
  }
}

int32_t MergeLearner::id_of_merged(uint64_t pair) {
  // Different pairs may spell the same token, which then keeps its first id.
  std::string token = tokens_[left_of(pair)] + tokens_[right_of(pair)];
  const auto [found, is_new] = ids_.emplace(std::move(token), static_cast<int32_t>(tokens_.size()));
  if (is_new) tokens_.push_back(found->first);
  return found->second;
}

void MergeLearner::count_pair(uint64_t pair, int64_t change, uint32_t word) {
  counts_[pair] += change * words_[word].count;
  if (change < 0) return;
  auto& gained = gains_[pair];
  // Words are processed one at a time, so comparing with the last entry is enough to list each word once.
  if (gained.empty() || gained.back() != word) gained.push_back(word);
}

void MergeLearner::push(Entry entry) {
  queue_.push_back(std::move(entry));
  std::push_heap(queue_.begin(), queue_.end());
}

MergeLearner::Entry MergeLearner::pop() {
  std::pop_heap(queue_.begin(), queue_.end());
  Entry top = std::move(queue_.back());
  queue_.pop_back();
  return top;
}

void MergeLearner::queue_gains() {
  for (auto& [pair, words] : gains_) {
    const int64_t count = counts_[pair];
    if (count > 0) push({count, pair, std::move(words)});
  }
  gains_.clear();
}

void MergeLearner::merge_in(uint32_t word, uint64_t pair, int32_t id) {
  auto& symbols = words_[word].symbols;
  const int32_t left = left_of(pair), right = right_of(pair);
  size_t out = 0;
  for (size_t i = 0; i < symbols.size(); ++i, ++out) {
    if (symbols[i] != left || i + 1 == symbols.size() || symbols[i + 1] != right) {
      symbols[out] = symbols[i];
      continue;
    }
    if (out > 0) {
      count_pair(pair_of(symbols[out - 1], left), -1, word);
      count_pair(pair_of(symbols[out - 1], id), 1, word);
    }
    ++i;
    if (i + 1 < symbols.size()) {
      count_pair(pair_of(right, symbols[i + 1]), -1, word);
      count_pair(pair_of(id, symbols[i + 1]), 1, word);
    }
    symbols[out] = id;
  }
  symbols.resize(out);
}

}  // namespace birkhoff

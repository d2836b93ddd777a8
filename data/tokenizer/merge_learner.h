#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/bpe.h"

namespace birkhoff {

struct LearnedMerge {
  int32_t left, right, id;
};

// Learns byte pair merges from counted words: repeatedly merges the most frequent pair of neighbors everywhere. Ties go
// to the pair with the smaller ids. The order in which words are added does not matter.
// Cost: each merge visits only the words that contain its pair. A priority queue orders the pairs by count. Its counts
//       may be out of date; a pair is re-counted when it reaches the top.
class MergeLearner {
 public:
  explicit MergeLearner(std::vector<std::string> tokens);  // the vocabulary before any merge, by id

  void add_word(std::vector<int32_t> symbols, int64_t count);

  // Merges until there are `vocab_size` tokens or no pair occurs `min_frequency` times.
  void learn(int32_t vocab_size, int64_t min_frequency);

  const std::vector<std::string>& tokens() const { return tokens_; }
  const std::vector<LearnedMerge>& merges() const { return merges_; }

 private:
  struct Word {
    std::vector<int32_t> symbols;
    int64_t count;
  };
  // A pair, with the words in which one merge created it. A pair that several merges create has several entries.
  struct Entry {
    int64_t count;
    uint64_t pair;
    std::vector<uint32_t> words;
    bool operator<(const Entry& other) const { return count != other.count ? count < other.count : pair > other.pair; }
  };

  void count_pair(uint64_t pair, int64_t change, uint32_t word);
  void push(Entry entry);
  Entry pop();
  void queue_gains();
  int32_t id_of_merged(uint64_t pair);
  void merge_in(uint32_t word, uint64_t pair, int32_t id);

  std::vector<std::string> tokens_;
  TokenIds ids_;
  std::vector<Word> words_;
  std::vector<LearnedMerge> merges_;
  std::unordered_map<uint64_t, int64_t> counts_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> gains_;  // new pairs since the last queue_gains()
  std::vector<Entry> queue_;                                   // a heap of the most frequent pairs
};

}  // namespace birkhoff

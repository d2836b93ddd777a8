#pragma once
#include <cstdint>
#include <vector>

#include "data/loader/batch.h"
#include "kernels/engram/hash.h"

namespace birkhoff {

// Computes the embedding rows that the Engram layers will look up for the tokens of a step.
class EngramAddresses {
 public:
  // compression[token id] is the compressed id (data/tokenizer/compression.h). Throws a UserError if one lies outside
  // the compressed vocabulary of `spec`.
  EngramAddresses(EngramHashSpec spec, std::vector<int32_t> compression);
  // Fills engram_index of every microbatch and engram_rows of the step. Token ids must be less than compression.size().
  void fill(StepBatch& step) const;
  const EngramHash& hash() const { return hash_; }
  int64_t vocab_size() const { return static_cast<int64_t>(compression_.size()); }

 private:
  EngramHash hash_;
  std::vector<int32_t> compression_;
};

// Computes `unique`, the sorted distinct values of `rows`, and `index` such that rows[i] == unique[index[i]].
void deduplicate_rows(const std::vector<int64_t>& rows, std::vector<int64_t>& unique, std::vector<int32_t>& index);

}  // namespace birkhoff

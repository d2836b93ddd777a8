#pragma once
#include <cstdint>
#include <vector>

#include "data/loader/batch.h"
#include "kernels/engram/hash.h"

namespace birkhoff {

// Turns token ids into the rows that Engram layers will look up.
class EngramAddresses {
 public:
  // compression[token id] = compressed id (data/tokenizer/compression.h). UserError if it maps outside the spec's
  // compressed vocabulary.
  EngramAddresses(EngramHashSpec spec, std::vector<int32_t> compression);
  // Fills engram_index of every microbatch and engram_rows of the step. Token ids must be below compression.size().
  void fill(StepBatch& step) const;
  const EngramHash& hash() const { return hash_; }
  int64_t vocab_size() const { return static_cast<int64_t>(compression_.size()); }

 private:
  EngramHash hash_;
  std::vector<int32_t> compression_;
};

// Replaces rows[i] by unique[index[i]], unique sorted.
void deduplicate_rows(const std::vector<int64_t>& rows, std::vector<int64_t>& unique, std::vector<int32_t>& index);

}  // namespace birkhoff

#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "data/loader/batch.h"
#include "data/loader/loader.h"

namespace birkhoff {

struct EvalOptions {
  std::filesystem::path directory;
  std::string split = "heldout";
  int64_t vocab_size = 0;
  std::string tokenizer_digest;
  int64_t sequence_length = 0, microbatch_sequences = 1;
  int64_t context_tokens = 0;  // a document cut by a sequence's end is repeated from so many tokens before, unscored
  int64_t max_documents = 0;   // the first so many of the split; 0: all
  int64_t max_sequences = 0;   // the first so many of those the documents fill; 0: all
  int mtp_depth = 0;
  int replica = 0, num_replicas = 1;
  std::shared_ptr<const EngramAddresses> engram;
};

// The held-out split, unshuffled: each stored token is a target exactly once over all replicas. Microbatches go to the
// replicas in turn, so that what is evaluated, and in which microbatch, does not depend on their number. The last
// sequences are filled up with masked tokens, and all replicas get the same number of microbatches.
class EvalReader {
 public:
  explicit EvalReader(EvalOptions options);
  ~EvalReader();

  // One microbatch as a step of its own (with its Engram rows), or nothing at the end.
  std::optional<StepBatch> next();
  void rewind();
  int64_t source_bytes() const;      // raw text of the documents scored, all replicas
  int64_t num_targets() const;       // their tokens, all replicas
  int64_t num_microbatches() const;  // of this replica

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace birkhoff

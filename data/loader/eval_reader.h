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
  // If the end of a sequence cuts a document, the next sequence first repeats this many of its inputs, unscored.
  int64_t context_tokens = 0;
  int64_t max_documents = 0;  // use only the first documents of the split; 0: all
  int64_t max_sequences = 0;  // use only the first of the sequences that the documents fill; 0: all
  int mtp_depth = 0;
  int replica = 0, num_replicas = 1;
  std::shared_ptr<const EngramAddresses> engram;
};

// Reads the held-out split in order, without shuffling. Over all replicas, each stored token is a target exactly once.
// Microbatches are dealt to the replicas in turn, so that the contents and the order of the microbatches do not depend
// on the number of replicas. The last sequences are padded with masked tokens, so that all replicas get the same number
// of microbatches.
class EvalReader {
 public:
  explicit EvalReader(EvalOptions options);
  ~EvalReader();

  // The next microbatch as a step of its own (with its Engram rows), or nullopt at the end.
  std::optional<StepBatch> next();
  void rewind();
  // Bytes of raw text and number of stored tokens of the selected documents, over all replicas. max_sequences does not
  // reduce them.
  int64_t source_bytes() const;
  int64_t num_targets() const;
  int64_t num_microbatches() const;  // per replica

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace birkhoff

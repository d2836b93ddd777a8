#pragma once
#include <cstdint>
#include <vector>

#include "data/loader/cursor.h"

namespace birkhoff {

// A stretch of one document in one sequence: where a token of the batch comes from.
struct DocumentPiece {
  int32_t source = 0;    // index in the mixture
  int64_t document = 0;  // sample number in the source
  int64_t offset = 0;    // first input position of the document
  int64_t length = 0;    // inputs
};

// One microbatch: num_sequences x sequence_length = T tokens, flat. A document's inputs are its begin token and then
// all its tokens but the last; the target of an input is the token after it, so each stored token is a target exactly
// once.
struct Batch {
  int64_t num_sequences = 0, sequence_length = 0;
  std::vector<int32_t> tokens;          // [T]
  std::vector<int32_t> positions;       // [T], from 0 at each document start
  std::vector<int32_t> document_start;  // [T], flat index of the first token of this document in this sequence
  // targets[d][t]: token d + 1 ahead of t in its document (also past the end of the sequence), or -1 where there is
  // none or where it is masked. d = 0 is the language model's, d > 0 those of multi-token prediction.
  std::vector<std::vector<int32_t>> targets;
  std::vector<float> loss_weights;    // [T], of targets[0]: 1, or 0 where it is -1
  std::vector<uint8_t> token_mask;    // [T], 0 for padding; empty where there is none
  std::vector<int64_t> sample_ids;    // [num_sequences], the absolute number of the sequence in the run
  std::vector<DocumentPiece> pieces;  // in order of the tokens
  // Per Engram layer [T, K]: position of each looked-up row in the step's engram_rows of that layer.
  std::vector<std::vector<int32_t>> engram_index;

  int64_t num_tokens() const { return num_sequences * sequence_length; }
};

// What one replica does in one optimizer step.
struct StepBatch {
  std::vector<Batch> microbatches;
  std::vector<std::vector<int64_t>> engram_rows;        // per Engram layer: sorted unique rows of all microbatches here
  std::vector<int64_t> local_targets;                   // per depth: targets that are not -1 in this replica
  int64_t local_tokens = 0, global_tokens = 0;          // inputs: of this replica, of all
  int64_t consumed_sequences = 0, consumed_tokens = 0;  // by the run, this step included
  int64_t bad_samples = 0;                              // replaced by masked tokens since the loader was made
  Cursor cursor;                                        // resume here after this step
};

// The sizes of a step, which schedules may change from step to step.
struct StepShape {
  int64_t global_sequences = 0;      // of all replicas
  int64_t microbatch_sequences = 0;  // of one microbatch
  int64_t sequence_length = 0;

  bool operator==(const StepShape&) const = default;
};

}  // namespace birkhoff

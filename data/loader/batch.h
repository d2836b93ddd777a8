#pragma once
#include <cstdint>
#include <vector>

#include "data/loader/cursor.h"

namespace birkhoff {

// A stretch of one document within one sequence. It records where the tokens of a batch come from.
struct DocumentPiece {
  int32_t source = 0;    // index in the mixture
  int64_t document = 0;  // sample index in the source
  int64_t offset = 0;    // first input position of the document
  int64_t length = 0;    // number of inputs
};

// One microbatch of num_sequences x sequence_length = T tokens, stored flat. The inputs of a document are its begin
// token and then all its tokens but the last; the target of an input is the token that follows it. Each stored token is
// thus a target exactly once.
struct Batch {
  int64_t num_sequences = 0, sequence_length = 0;
  std::vector<int32_t> tokens;          // [T]
  std::vector<int32_t> positions;       // [T], counted from 0 at the start of each piece
  std::vector<int32_t> document_start;  // [T], flat index of the first token of the same piece
  // targets[d][t] is the token d + 1 positions after t in its document, even past the end of the sequence; or -1 if
  // there is none or it is masked. Depth 0 is for the language model, depths d > 0 are for MTP.
  std::vector<std::vector<int32_t>> targets;
  std::vector<float> loss_weights;    // [T], 1 if targets[0] is a token, 0 if it is -1
  std::vector<uint8_t> token_mask;    // [T], 0 for padding; empty if there is no padding
  std::vector<int64_t> sample_ids;    // [num_sequences], index of each sequence in the run; -1 for padding
  std::vector<DocumentPiece> pieces;  // in token order
  // For each Engram layer [T, K]: the position of each looked-up row in engram_rows of the step.
  std::vector<std::vector<int32_t>> engram_index;

  int64_t num_tokens() const { return num_sequences * sequence_length; }
};

// The work of one replica in one optimizer step.
struct StepBatch {
  std::vector<Batch> microbatches;
  std::vector<std::vector<int64_t>> engram_rows;        // per Engram layer: sorted unique rows of these microbatches
  std::vector<int64_t> local_targets;                   // per depth: number of targets of this replica that are not -1
  int64_t local_tokens = 0, global_tokens = 0;          // number of inputs of this replica and of all
  int64_t consumed_sequences = 0, consumed_tokens = 0;  // by the run, including this step
  int64_t bad_samples = 0;                              // replaced by masked tokens since the loader was created
  Cursor cursor;                                        // where to resume after this step
};

// The sizes of a step. Schedules may change them from step to step.
struct StepShape {
  int64_t global_sequences = 0;      // over all replicas
  int64_t microbatch_sequences = 0;  // in one microbatch
  int64_t sequence_length = 0;

  bool operator==(const StepShape&) const = default;
};

}  // namespace birkhoff

#pragma once
#include "data/loader/batch.h"
#include "parallel/comm/communicator.h"
#include "trainer/nn/frame.h"

namespace birkhoff {

// How the ranks of a tensor-parallel group divide the tokens of a microbatch outside of the layers that divide their
// features. All ranks of the group read the same whole sequences. Each sequence is padded at its end to a length that
// `size` divides, and the flat tokens of the microbatch are cut into `size` equal runs, of which rank r has run r. So
// the runs of all ranks, one after the other, are the flat tokens again.
struct TokenSplit {
  int rank = 0, size = 1;
  int64_t halo = 0;  // earlier tokens that the convolution of Engram looks back to

  bool divides() const { return size > 1; }
  int64_t padded(int64_t length) const { return (length + size - 1) / size * size; }
  TokenRun own(int64_t num_tokens) const { return {num_tokens / size * rank, num_tokens / size}; }
};

// A step as the ranks of a group divide it. Everything that depends on neighboring tokens (targets, document starts,
// rows of Engram) was computed on whole sequences before; dividing comes last. Padding has no targets, and is masked in
// token_mask; each token of it is a document of its own, so nothing attends to it. The rows of Engram are those of own
// tokens alone, and engram_index has only these tokens. The index of padding is that of a further row behind the last,
// which the caller must provide as zeros; so padding touches no row of a table.
StepBatch divided(const StepBatch& step, const TokenSplit& split);

// Collective over the ranks that must have the same batch. CommError on every rank if one has another: it names the
// ranks, and the first sequence that differs.
void require_same_batch(Communicator& group, const StepBatch& step);

}  // namespace birkhoff

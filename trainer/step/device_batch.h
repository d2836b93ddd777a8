#pragma once
#include <vector>

#include "data/loader/batch.h"
#include "kernels/core/arena.h"
#include "parallel/comm/communicator.h"
#include "trainer/models/decoder_options.h"
#include "trainer/nn/frame.h"
#include "trainer/step/token_split.h"

namespace birkhoff {

// The numbers by which the losses of a step are divided. They are the same on all replicas.
struct Normalizers {
  std::vector<double> targets;  // per depth: number of targets in the global batch
  double sequences = 1;         // number of sequences in the global batch
};

// The weight of each depth in the loss: 1 for the next token, and for each MTP depth an equal share of the weight of
// MTP.
std::vector<double> depth_weights(const MtpOptions& mtp);

// Computes the normalizers of a step. Must be called before its first forward. Collective over the ranks that divide
// the batch.
Normalizers count_targets(Communicator& batch_group, const StepBatch& batch, size_t num_depths);

// Copies a microbatch to the arena of the stream's device. The weight of a target of depth d is
// depth_weights[d] / normalizers.targets[d], and 0 where there is no target. If ranks divide the tokens, the batch must
// be one that divided() returned.
// The caller must set the rows of the Engram layers.
BatchView upload(Stream& stream, Arena& arena, const Batch& batch, const Normalizers& normalizers,
                 const std::vector<double>& depth_weights, const TokenSplit& split = {});

}  // namespace birkhoff

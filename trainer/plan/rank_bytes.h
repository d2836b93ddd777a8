#pragma once
#include <cstdint>

#include "trainer/step/trainer.h"

namespace birkhoff {

// Memory that one rank takes for training, by purpose. The parts that a rank holds and the ranges that it owns are
// those of its model's parameters and tables.
struct RankBytes {
  int64_t weights = 0, packed_weights = 0, gradients = 0, moments = 0, tables = 0, table_moments = 0, activations = 0;
  int64_t kernel_scratch = 0;
  // Rows of the tables that a step looks up and their gradients, if no two tokens share a row.
  int64_t table_rows = 0;
  int64_t checkpoint_staging = 0, communication_buffers = 0;
  // Activations outside of layers that a tensor-parallel group divides (Runner::bytes_between_layers), which are
  // counted in `activations` too.
  int64_t between_layers = 0;

  // What the model and its optimizer take while they compute.
  int64_t of_model() const {
    return weights + packed_weights + gradients + moments + tables + table_moments + activations + kernel_scratch;
  }
};

// Counts the bytes of a rank that has taken two steps: on the meta device a plan, on others what the rank really holds.
// Leaves out table_rows and communication_buffers, which no object holds as a whole. `microbatch_tokens` give the
// scratch of kernels, which is computed.
RankBytes held_bytes(Model& model, Trainer& trainer, int64_t microbatch_tokens);

}  // namespace birkhoff

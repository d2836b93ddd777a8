#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "trainer/nn/parameter_store.h"

namespace birkhoff {

// Why the update of a step was skipped. With optimizer.spike.skip off, a spike is reported but not skipped.
enum class SkipReason : uint8_t { none, nonfinite, spike };

// Results of a step, equal on all replicas.
struct StepReport {
  double loss = 0;               // of the next token, nats per token
  std::vector<double> mtp_loss;  // per depth, nats per token
  double balance_loss = 0;
  double grad_norm = 0;
  bool skipped = false;
  SkipReason skip_reason = SkipReason::none;
  // If skip_reason is nonfinite, the first tensor that is not finite: "the router logits of layers.1.ffn, microbatch 2,
  // on rank 1".
  std::string first_nonfinite;
  // Load of an expert divided by the mean load of its layer: the largest, the 95th percentile and the smallest over the
  // experts of all layers. 0 if the model has no experts.
  double expert_load_max = 0;
  double expert_load_p95 = 0;
  double expert_load_min = 0;
  int64_t dead_experts = 0;  // experts that no token of the step chose
  // Largest gains of the mixing matrices, {forward, backward}, over all microbatches and replicas. Nullopt for a plain
  // residual, or if the gain is not measured.
  std::optional<std::pair<double, double>> gain;
};

// The values of several tensors, one list for each tensor.
using Numbers = std::span<const std::vector<double>>;
// Sets the losses in `report`, and also skip_reason and first_nonfinite if their total is not finite. `losses` has one
// entry for each counter of the kinds loss and balance_loss, in the order of parameters.counters(), summed over the
// replicas. `depth_weights` has the weight of each depth in the loss.
void report_losses(Numbers losses, const ParameterStore& parameters, const std::vector<double>& depth_weights,
                   StepReport& report);
// Sets the loads of experts in `report`. `loads` has one entry for each router.
void report_loads(Numbers loads, StepReport& report);

}  // namespace birkhoff

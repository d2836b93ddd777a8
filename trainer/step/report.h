#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "trainer/nn/parameter_store.h"

namespace birkhoff {

// Why the update of a step was left out or, where spikes are only reported, could have been.
enum class SkipReason : uint8_t { none, nonfinite, spike };

// What a step has measured. Equal on all replicas.
struct StepReport {
  double loss = 0;               // of the next token, nats per token
  std::vector<double> mtp_loss;  // per depth, nats per token
  double balance_loss = 0;
  double grad_norm = 0;
  bool skipped = false;
  SkipReason skip_reason = SkipReason::none;
  std::string first_nonfinite;  // where it began: "the router logits of layers.1.ffn, microbatch 2, on rank 1"
  double expert_load_max = 0;   // largest load over mean load, over all MoE layers; 0 without
  double expert_load_p95 = 0;   // of the loads of all experts over their layer's mean, the 95th percentile
  double expert_load_min = 0;   // and the smallest
  int64_t dead_experts = 0;     // experts that no token of the step chose
  // Largest gains of the mixing matrices, {forward, backward}, over all microbatches and replicas; nothing for a plain
  // residual, or where the gain is not measured.
  std::optional<std::pair<double, double>> gain;
};

// Values of tensors, each a list of numbers.
using Numbers = std::span<const std::vector<double>>;
// What the update depends on: `losses` has an entry for each counter of losses and balance losses, in their order,
// summed over the replicas. depth_weights: the weight of each depth in the loss.
void report_losses(Numbers losses, const ParameterStore& parameters, const std::vector<double>& depth_weights,
                   StepReport& report);
// `loads` has an entry for each router.
void report_loads(Numbers loads, StepReport& report);

}  // namespace birkhoff

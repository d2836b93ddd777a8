#pragma once
#include <span>
#include <string>
#include <vector>

#include "data/loader/batch.h"
#include "trainer/nn/moe_options.h"
#include "trainer/proof/whole.h"
#include "trainer/step/routing_tape.h"

namespace birkhoff {

// The routing of a layout that chooses for itself, compared with that of one rank. A choice is discontinuous: where two
// scores are almost equal, rounding decides. So a layout may choose otherwise than one rank only there. What follows in
// the same document, in later layers and by way of attention, then sees other activations and is not judged.

// The smallest difference of scores that decides which experts a router chooses: of the last group kept and the first
// one dropped, and, within the groups kept, of the last expert chosen and the first one not chosen. Infinity if nothing
// is dropped. `scores` are those that the choice compares, one for each expert (kernels/moe/router.h).
struct GapArgs {
  int64_t num_chosen = 1, num_groups = 1, num_groups_kept = 1;
};
double deciding_gap(std::span<const double> scores, const GapArgs& args);

// The recorded choices of a rank as parts of tensors [T, K], one for each microbatch, layer and kind of choice.
// `share`: what the rank computes of the step.
std::vector<HeldPart> choices_of(const RoutingRecord& record, const RoutingTape::Share& share);

// What a comparison found. A token disagrees if a layer chose other experts for it than one rank did, or counted others
// in the balance loss.
struct RoutingVerdict {
  int64_t tokens = 0, disagreeing = 0;
  std::vector<std::string> failures;
};
// A disagreement in the first disagreeing layer of its document must have a deciding gap below this on one rank.
inline constexpr double kMostGap = 1e-5;
// Of all tokens, at most this part may disagree.
inline constexpr double kMostDisagreeing = 0.01;

// `layout`: the assembled choices_of() all its ranks. `microbatches`: those of the global batch, for the documents.
RoutingVerdict judge_routing(const RoutingRecord& one, const Whole& layout, const std::vector<Batch>& microbatches,
                             const MoeOptions& options);

}  // namespace birkhoff

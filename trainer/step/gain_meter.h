#pragma once
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "kernels/core/arena.h"
#include "parallel/comm/communicator.h"
#include "trainer/nn/instrument.h"
#include "trainer/step/report.h"

namespace birkhoff {

// Measures how much the mixing matrices of all sites together amplify a signal, {forward, backward}, and reports the
// largest value over the microbatches of a step and the replicas. See kernels/hyper/gain.h.
class GainMeter final : public Instrument {
 public:
  // The sums of a step are stored in `memory`, which must stay valid until they are read.
  explicit GainMeter(Arena& memory) : memory_(&memory) {}

  // Call at the start of a step.
  void clear();
  void enter(size_t microbatch) override;
  bool wants_mixing() const override { return true; }
  // Ignores the sites of MTP predictors, which follow end_blocks().
  void will_mix(Tensor comb) override;
  void end_blocks(Stream& stream, Tensor token_mask) override;

  // The sums of each microbatch.
  const std::vector<Tensor>& tensors() const { return sums_; }
  // The largest gains over the microbatches and all ranks, from `sums`, the values of tensors(); nullopt if there are
  // none. The gain of a microbatch is the mean over its tokens, which the ranks of `token_group` divide. Collective
  // unless `sums` is empty, which is the same on all ranks.
  std::optional<std::pair<double, double>> largest(Numbers sums, Communicator& token_group, Communicator& world) const;

 private:
  Arena* memory_;
  size_t microbatch_ = 0;
  std::map<size_t, std::vector<Tensor>> combs_;  // by microbatch: comb [T, S, S] of each site that has run so far
  std::set<size_t> ended_;                       // microbatches whose blocks have run
  std::vector<Tensor> sums_;                     // [3] for each microbatch
};

}  // namespace birkhoff

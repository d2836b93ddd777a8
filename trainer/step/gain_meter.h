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
  // The gains of a step are stored in `memory`, which must stay valid until they are read.
  explicit GainMeter(Arena& memory) : memory_(&memory) {}

  // Call at the start of a step.
  void clear();
  void enter(size_t microbatch) override;
  bool wants_mixing() const override { return true; }
  // Ignores the sites of MTP predictors, which follow end_blocks().
  void will_mix(Tensor comb) override;
  void end_blocks(Stream& stream) override;

  const std::vector<Tensor>& tensors() const { return gains_; }
  // The largest of `gains`, the values of tensors(), over all ranks; nullopt if there are none. Collective unless
  // `gains` is empty, which is the same on all ranks.
  static std::optional<std::pair<double, double>> largest(Numbers gains, Communicator& world);

 private:
  Arena* memory_;
  size_t microbatch_ = 0;
  std::map<size_t, std::vector<Tensor>> combs_;  // by microbatch: comb [T, S, S] of each site that has run so far
  std::set<size_t> ended_;                       // microbatches whose blocks have run
  std::vector<Tensor> gains_;                    // [2] for each microbatch
};

}  // namespace birkhoff

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

// How much the mixing matrices of all sites together amplify, {forward, backward}: the largest over the microbatches of
// a step and the replicas. See kernels/hyper/gain.h.
class GainMeter final : public Instrument {
 public:
  // The numbers of a step stay in `memory` until they are read.
  explicit GainMeter(Arena& memory) : memory_(&memory) {}

  // A step begins.
  void clear();
  void enter(size_t microbatch) override;
  bool keeps_mixing() const override { return true; }
  // The sites of predictors, which follow end_blocks(), do not count.
  void will_mix(Tensor comb) override;
  void end_blocks(Stream& stream) override;

  const std::vector<Tensor>& tensors() const { return gains_; }
  // `gains`: the values of tensors(). Collective where there are any, which is alike on all ranks.
  static std::optional<std::pair<double, double>> largest(Numbers gains, Communicator& world);

 private:
  Arena* memory_;
  size_t microbatch_ = 0;
  std::map<size_t, std::vector<Tensor>> combs_;  // [T, S, S] of each site so far, by microbatch whose blocks run
  std::set<size_t> ended_;                       // microbatches whose blocks have run
  std::vector<Tensor> gains_;                    // [2] of each microbatch
};

}  // namespace birkhoff

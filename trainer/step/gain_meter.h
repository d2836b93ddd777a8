#pragma once
#include <optional>
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
  explicit GainMeter(Device device, Instrument* next = nullptr) : Instrument(next), mixing_(device) {}

  // A step begins.
  void clear() { gains_.clear(); }
  void begin(size_t microbatch) override;
  Tensor take_mixing(Shape shape) override;
  // The sites of the blocks have all run; those of predictors, which follow, do not count. The numbers stay in `memory`
  // until they are read.
  void end_blocks(Stream& stream, Arena& memory);

  const std::vector<Tensor>& tensors() const { return gains_; }
  // `gains`: the values of tensors(). Collective where there are any, which is alike on all ranks.
  static std::optional<std::pair<double, double>> largest(Numbers gains, Communicator& world);
  size_t peak_bytes() const { return mixing_.peak_bytes(); }

 private:
  Arena mixing_;               // of one microbatch
  bool collects_ = false;      // between begin() and end_blocks()
  std::vector<Tensor> combs_;  // [T, S, S] of each site
  std::vector<Tensor> gains_;  // [2] of each microbatch
};

}  // namespace birkhoff

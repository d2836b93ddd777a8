#pragma once
#include <optional>
#include <utility>
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/step/model.h"
#include "trainer/step/report.h"

namespace birkhoff {

// How much the mixing matrices of all sites together amplify, {forward, backward}: the largest over the microbatches of
// a step and the replicas. See kernels/hyper/gain.h.
class GainMeter {
 public:
  void clear() { gains_.clear(); }
  // Of the microbatch whose forward has just run in the frame; nothing for a plain residual. The numbers stay in
  // `memory` until they are read.
  void add(Stream& stream, Arena& memory, Decoder& decoder, Frame& frame);
  const std::vector<Tensor>& tensors() const { return gains_; }
  // `gains`: the values of tensors(). Collective where there are any, which is alike on all replicas.
  static std::optional<std::pair<double, double>> largest(Numbers gains, Communicator& world);

 private:
  std::vector<Tensor> gains_;  // [2] of each microbatch
};

}  // namespace birkhoff

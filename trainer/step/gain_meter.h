#pragma once
#include <optional>
#include <utility>
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/step/model.h"

namespace birkhoff {

// How much the mixing matrices of all sites together amplify, {forward, backward}: the largest over the microbatches of
// a step and the replicas. See kernels/hyper/gain.h.
class GainMeter {
 public:
  void clear() { largest_.clear(); }
  // Of the microbatch whose forward has just run in the frame; nothing for a plain residual.
  void add(Stream& stream, Arena& scratch, Decoder& decoder, Frame& frame);
  // Collective.
  std::optional<std::pair<double, double>> reduce(Stream& stream, Communicator& replicas);

 private:
  std::vector<double> largest_;
};

}  // namespace birkhoff

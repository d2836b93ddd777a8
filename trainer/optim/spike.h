#pragma once
#include <cstdint>
#include <vector>

#include "parallel/shard/state.h"
#include "trainer/optim/options.h"

namespace birkhoff {

// Finds losses that stand out of the recent ones: z = (loss - mean) / deviation over a window of accepted losses, the
// deviation being at least a millionth of the mean.
class SpikeDetector {
 public:
  explicit SpikeDetector(const SpikeOptions& options) : options_(options) {}

  // Whether this loss is a spike. One that is not enters the window. Needs half a window before it judges.
  bool is_spike(double loss);
  const SpikeOptions& options() const { return options_; }
  void state(StateVisitor& visitor);

 private:
  SpikeOptions options_;
  std::vector<double> losses_;  // a ring once full
  int64_t next_ = 0;
};

}  // namespace birkhoff

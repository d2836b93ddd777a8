#pragma once
#include <cstdint>
#include <vector>

#include "parallel/shard/state.h"
#include "trainer/optim/options.h"

namespace birkhoff {

// Detects losses far above the recent ones: z = (loss - mean) / deviation, where mean and standard deviation are those
// of a window of accepted losses, and the deviation is at least a millionth of the mean.
class SpikeDetector {
 public:
  explicit SpikeDetector(const SpikeOptions& options) : options_(options) {}

  // Whether this loss is a spike. If not, the loss enters the window. No loss is a spike before the window is half
  // full.
  bool is_spike(double loss);
  const SpikeOptions& options() const { return options_; }
  void state(StateVisitor& visitor);

 private:
  void fit_window();

  SpikeOptions options_;
  std::vector<double> losses_;  // a ring buffer once it is full
  int64_t next_ = 0;            // where the ring is overwritten next
};

}  // namespace birkhoff

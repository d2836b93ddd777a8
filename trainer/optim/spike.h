#pragma once
#include <cstdint>
#include <vector>

#include "parallel/shard/state.h"

namespace birkhoff {

// Finds losses that stand out of the recent ones: z = (loss - mean) / deviation over a window of accepted losses, the
// deviation being at least a millionth of the mean.
class SpikeDetector {
 public:
  struct Options {
    double z_score = 0;  // 0: off
    int64_t window = 128;
    bool skip = true;
  };
  explicit SpikeDetector(const Options& options) : options_(options) {}

  // Whether this loss is a spike. One that is not enters the window. Needs half a window before it judges.
  bool is_spike(double loss);
  const Options& options() const { return options_; }
  void state(StateVisitor& visitor);

 private:
  Options options_;
  std::vector<double> losses_;  // a ring once full
  int64_t next_ = 0;
};

}  // namespace birkhoff

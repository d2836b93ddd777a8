#pragma once
#include <cstdint>
#include <vector>

#include "trainer/optim/schedule_options.h"

namespace birkhoff {

// Learning rate over the steps of a run: linear warm-up, constant, decay to a floor, the floor.
class LearningRate {
 public:
  // A decay without a number of steps lasts to the end of a run of `run_steps`.
  LearningRate(const ScheduleOptions& options, int64_t run_steps);
  // Of the update that follows `steps_done` finished steps. The first step of a warm-up of n has 1/n of the peak.
  double at(int64_t steps_done) const;

 private:
  ScheduleOptions options_;
};

// Sequences of the step that follows `steps_done` finished ones: from the initial size by whole increments to `full`,
// evenly over the steps of the ramp.
int64_t batch_size_at(const BatchRampOptions& ramp, int64_t full, int64_t steps_done);

// Sequence length of that step: that of the first phase that is not over, else `full`.
int64_t sequence_length_at(const std::vector<LengthPhaseOptions>& phases, int64_t full, int64_t steps_done);

}  // namespace birkhoff

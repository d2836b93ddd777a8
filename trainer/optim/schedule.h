#pragma once
#include <cstdint>
#include <vector>

#include "trainer/optim/schedule_options.h"

namespace birkhoff {

// Learning rate over the steps of a run: linear warm-up, constant phase, decay to min_learning_rate, then
// min_learning_rate.
class LearningRate {
 public:
  // If decay_steps is 0, the decay lasts until the end of the run, which has `run_steps` steps.
  LearningRate(const ScheduleOptions& options, int64_t run_steps);
  // The rate of the update after `steps_done` finished steps. A warm-up of n steps begins at 1/n of the peak rate.
  double at(int64_t steps_done) const;

 private:
  ScheduleOptions options_;
};

// Number of sequences of the step after `steps_done` finished steps. The batch grows from the initial size to `full` in
// whole increments, spread evenly over the steps of the ramp.
int64_t batch_size_at(const BatchRampOptions& ramp, int64_t full, int64_t steps_done);

// Sequence length of the step after `steps_done` finished steps: that of the first phase which is not over, or `full`.
int64_t sequence_length_at(const std::vector<LengthPhaseOptions>& phases, int64_t full, int64_t steps_done);

}  // namespace birkhoff

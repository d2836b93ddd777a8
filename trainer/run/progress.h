#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "parallel/shard/state.h"
#include "trainer/step/trainer.h"

namespace birkhoff {

// The counters of a run and the position of its data. Equal on all ranks; saved in checkpoints.
struct Progress {
  std::string cursor;
  int64_t skipped_nonfinite = 0, skipped_spikes = 0, skipped_in_a_row = 0;  // steps
  int64_t failed_saves = 0;
  int64_t bad_samples = 0;            // summed over all replicas
  std::vector<int64_t> recent_skips;  // numbers of the steps that were skipped recently, ascending
  // Set before a load if the checkpoint has recent_skips. A checkpoint has them only if a step was skipped recently.
  bool loads_recent_skips = false;
  bool began_finite = true;  // whether the loaded state was finite; not saved

  void state(StateVisitor& visitor);
  // Throws DataError if these values cannot belong to a run of `steps` steps.
  void check(int64_t steps) const;
  // Counts step number `step`, and drops skips that lie `window` or more steps back.
  void count(const StepReport& report, int64_t step, int64_t window);
};

}  // namespace birkhoff

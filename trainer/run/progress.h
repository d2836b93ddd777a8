#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "parallel/shard/state.h"
#include "trainer/step/trainer.h"

namespace birkhoff {

// What a run has counted, and where its data stands. Equal on all ranks; survives in checkpoints.
struct Progress {
  std::string cursor;
  int64_t skipped_nonfinite = 0, skipped_spikes = 0, skipped_in_a_row = 0;  // steps
  int64_t failed_saves = 0;
  int64_t bad_samples = 0;            // over all replicas
  std::vector<int64_t> recent_skips;  // steps, ascending
  bool loads_recent_skips = false;    // the checkpoint has them: it needs them only where a step was skipped
  bool began_finite = true;           // whether the state that was loaded was finite; not saved

  void state(StateVisitor& visitor);
  // DataError where it cannot be that of a run of so many steps.
  void check(int64_t steps) const;
  // Of step number `step`; what was skipped more than `window` steps ago is recent no more.
  void count(const StepReport& report, int64_t step, int64_t window);
};

}  // namespace birkhoff

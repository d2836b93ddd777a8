#pragma once
#include <chrono>
#include <functional>
#include <string>

#include "parallel/comm/watched.h"
#include "trainer/config/reader.h"
#include "trainer/metrics/metrics.h"

namespace birkhoff {

enum class Outcome : uint8_t {
  done,
  // too many steps were skipped (a loss or gradient that is not finite, or a spike), or a save found a value in the
  // state that is not finite
  nonfinite,
  stopped,  // stopped on request or by the time budget, with a checkpoint written
  unsaved,  // done or stopped, but the last checkpoint could not be written
};

// What the caller of a run provides: the receivers of its output, and what it may ask. Every member may be empty.
struct RunReports {
  std::function<void(const std::string& line)> log;  // called on rank 0 only
  std::function<bool()> stop_requested;              // polled at least once a step, on every rank
  Metrics* metrics = nullptr;                        // used on rank 0 only
  std::function<void()> directories_ready;           // called on rank 0 once the run holds run.dir
  std::string program;                               // version and digest of the binary; must be equal on all ranks
  // The moment from which run.time_budget_s counts.
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

// Trains the model that the configuration describes, starting from the checkpoint that checkpoint.resume asks for, if
// any. Collective. All mistakes that a user can make are found before the first step.
// Errors: UserError, DataError, CommError.
Outcome run_training(WatchedWorld& watched, const LoadedConfig& config, const RunReports& reports);

}  // namespace birkhoff

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
  nonfinite,  // too many steps were skipped (a loss or gradient that is not finite, or a spike), or the state that was
              // to be saved is not finite
  stopped,    // on request or by the time budget, a checkpoint written
  unsaved,    // done or stopped, but the last checkpoint could not be written
};

// What a run reports to. All may be empty.
struct RunReports {
  std::function<void(const std::string& line)> log;  // called on rank 0 only
  std::function<bool()> stop_requested;              // asked at least once a step, on every rank
  Metrics* metrics = nullptr;                        // published to on rank 0 only
  std::function<void()> directories_ready;           // called on rank 0 once run.dir is this run's own
  std::string program;                               // version and digest of the binary: all ranks must have the same
  // From when run.time_budget_s counts.
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

// Trains what the configuration describes, from its newest valid checkpoint where it has one. Collective.
// Everything a user can get wrong is refused before the first step.
// Errors: UserError, DataError, CommError.
Outcome run_training(WatchedWorld& watched, const LoadedConfig& config, const RunReports& reports);

}  // namespace birkhoff

#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "trainer/checkpoint/writer.h"
#include "trainer/run/session.h"

namespace birkhoff {

// The checkpoints of a run, each told of when its save has ended.
class Saver {
 public:
  // Collective. `progress` outlives it, and is what the checkpoints carry. `saved_step` is that of the checkpoint that
  // the directory's newest is, or -1. `ended` hears of every save that has ended.
  using Ended = std::function<void(const SaveReport& report)>;
  Saver(Session& session, Progress& progress, int64_t saved_step, Ended ended);
  ~Saver();

  // Collective. Starts to save where the run stands, once the save before is over and unless that found a value that is
  // not finite.
  void begin();
  // Before the state changes.
  void wait_copied() { writer_->wait_copied(); }
  // Tells of a save that has ended; never waits.
  void poll();
  // Waits until nothing is being saved.
  void settle();
  // Whether a save of where the run stands has begun, or is what it was resumed from. Equal on all ranks at any moment.
  bool has_begun() const { return step() == begun_step_; }
  // Collective. Waits until where the run stands is on disk, trying once more where a save failed and the state is
  // finite. Whether it is.
  bool finish();
  // Whether no save that has been told of found a value that is not finite.
  bool finite() const { return finite_; }
  // Why the last save that failed did.
  const std::string& error() const { return error_; }
  // The step of the newest checkpoint, or -1.
  int64_t saved_step() const { return saved_step_; }

 private:
  void tell(const SaveReport& report);
  int64_t step() const { return session_.trainer().steps_done(); }

  Session& session_;
  Progress& progress_;
  Ended ended_;
  std::unique_ptr<CheckpointWriter> writer_;
  int64_t begun_step_, saved_step_;
  bool finite_ = true;
  std::string error_;
};

}  // namespace birkhoff

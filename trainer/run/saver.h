#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "trainer/checkpoint/writer.h"
#include "trainer/run/session.h"

namespace birkhoff {

// Saves the checkpoints of a run and reports each finished save.
class Saver {
 public:
  // Collective. `progress` is saved in the checkpoints and must outlive the saver. `saved_step`: step of the newest
  // checkpoint in the directory, or -1 if there is none. `ended` is called for every save that has ended.
  using Ended = std::function<void(const SaveReport& report)>;
  Saver(Session& session, Progress& progress, int64_t saved_step, Ended ended);
  ~Saver();

  // Collective. Waits for the previous save, then starts to save the current step. Does nothing if an earlier save
  // found a value that is not finite.
  void begin();
  // Must be called before the state changes.
  void wait_copied() { writer_->wait_copied(); }
  // Reports a save that has ended, if any. Never waits.
  void poll();
  // Waits until nothing is being saved.
  void settle();
  // Whether a save of the current step has begun, or the run was resumed from a checkpoint of this step. Equal on all
  // ranks at any moment.
  bool has_begun() const { return step() == begun_step_; }
  // Collective. Waits until the current step is saved, and tries once more if a save failed although the state is
  // finite. Returns whether the step is on disk.
  bool finish();
  // False once a reported save has found a value that is not finite. Reports reach the ranks at different times.
  bool finite() const { return finite_; }
  // The error of the last save that failed.
  const std::string& error() const { return error_; }
  // The step of the newest checkpoint, or -1.
  int64_t saved_step() const { return saved_step_; }

 private:
  void report_save(const SaveReport& report);
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

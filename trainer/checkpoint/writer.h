#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "parallel/comm/communicator.h"
#include "parallel/shard/state.h"

namespace birkhoff {

// The outcome of one save.
struct SaveReport {
  int64_t step = 0;
  bool saved = false;
  std::string error;     // why it failed; the older checkpoints are untouched
  bool finite = true;    // false if the state holds a value that is not finite, which `error` names
  double copy_s = 0;     // time until the state was copied
  double write_s = 0;    // time from then until the checkpoint was published
  double blocked_s = 0;  // time the training thread waited for this save
  int64_t bytes = 0;     // bytes of the state that this rank writes
};

struct CheckpointOptions {
  std::filesystem::path directory;
  int64_t keep = 3;
  bool async = true;
};

// Saves the state of all ranks, at most one checkpoint at a time. begin() returns at once; a background thread copies
// the state into memory reserved for it, writes the copy and publishes the checkpoint. The training thread must call
// wait_copied() before it changes any of the state. If a save fails on any rank, all ranks report the failure and the
// older checkpoints stay as they are. A state that holds a value that is not finite is not saved.
class CheckpointWriter {
 public:
  // Collective. The writer creates a communicator of its own, so that its messages cannot mix with those of the
  // training thread.
  CheckpointWriter(Communicator& replicas, Device device, CheckpointOptions options);
  ~CheckpointWriter();

  using State = std::function<void(StateVisitor&)>;
  // Files by name and content, which rank 0 adds to the checkpoint as they are.
  using Attachments = std::map<std::string, std::string>;
  // Collective. Waits for the previous save, then starts this one. With `async` off it returns only when the save is
  // over.
  void begin(int64_t step, const State& state, Attachments attachments);
  void wait_copied();
  // Returns the report of a finished save; each report is returned once, in order. Never waits.
  std::optional<SaveReport> poll();
  // Waits until no save is running, then returns poll().
  std::optional<SaveReport> finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace birkhoff

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

// How one save went.
struct SaveReport {
  int64_t step = 0;
  bool saved = false;
  std::string error;     // why not; the older checkpoints are untouched
  bool finite = true;    // false: the state holds a value that is not finite, which `error` names
  double copy_s = 0;     // until the state was copied
  double write_s = 0;    // from then to the published checkpoint
  double blocked_s = 0;  // that the training thread waited, for this save
  int64_t bytes = 0;     // of this rank
};

struct CheckpointOptions {
  std::filesystem::path directory;
  int64_t keep = 3;
  bool async = true;
};

// Saves the state of all ranks, at most one checkpoint at a time. begin() returns at once; a thread copies the state to
// memory that was reserved for it, writes it and publishes the checkpoint. The training thread calls wait_copied()
// before it changes any of the state. A save that fails, on whichever rank, is reported on all and leaves the older
// checkpoints as they are. A state with a value that is not finite is not saved.
class CheckpointWriter {
 public:
  // Collective: the writer talks to its peers by a group of its own.
  CheckpointWriter(Communicator& replicas, Device device, CheckpointOptions options);
  ~CheckpointWriter();

  using State = std::function<void(StateVisitor&)>;
  // Files that rank 0 adds as they are, by name.
  using Attachments = std::map<std::string, std::string>;
  // Collective. Waits for the save before, then starts this one. Without async it returns when the save is over.
  void begin(int64_t step, const State& state, Attachments attachments);
  void wait_copied();
  // The report of a save that has ended, each once and in order. Never waits.
  std::optional<SaveReport> poll();
  // Waits until nothing is being saved, then poll().
  std::optional<SaveReport> finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace birkhoff

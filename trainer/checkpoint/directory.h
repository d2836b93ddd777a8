#pragma once
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "trainer/checkpoint/manifest.h"

namespace birkhoff {

// The checkpoints of a run are the folders step-00001000, ... of one directory. A checkpoint is written into a folder
// with a temporary name, which does not count as a checkpoint, and gets its final name by one rename after everything
// in it is on disk.
std::string checkpoint_name(int64_t step);
// The step in a folder's name, whether the checkpoint is finished, unfinished, replaced or abandoned; nullopt for any
// other name.
std::optional<int64_t> step_in_name(const std::filesystem::path& checkpoint);
std::string unfinished_name(int64_t step);

// Maps each step to the folder of its checkpoint. If the process died between the two renames of a replacement
// (give_name()), maps the step to the old checkpoint, which is then named .replaced-step-00001000. Returns an empty map
// if the directory does not exist; throws DataError if it cannot be read.
std::map<int64_t, std::filesystem::path> find_checkpoints(const std::filesystem::path& directory);
// The steps of find_checkpoints(), ascending.
std::vector<int64_t> list_checkpoints(const std::filesystem::path& directory);

// Reads the manifest of one checkpoint, checks its layout (layout.h) and compares the sizes of the files. Throws a
// DataError that lists what is missing, cut off or unexpected.
Manifest open_checkpoint(const std::filesystem::path& checkpoint);

// Does what open_checkpoint() does and then reads every byte: compares all checksums, and compares the manifest with
// what HDF5 finds in each tensor file. With `shares` > 1 it numbers all files and parts and reads only those whose
// number modulo `shares` is `share`, so that several ranks can divide the work. Throws a DataError that lists every
// defect with its tensor, file and offset.
Manifest verify_checkpoint(const std::filesystem::path& checkpoint, int share = 0, int shares = 1);

// Files in the folder that the manifest does not name. They do no harm.
std::vector<std::string> stray_files(const std::filesystem::path& checkpoint, const Manifest& manifest);

// Renames the unfinished folder of `step` to its final name. If a checkpoint already has that name, replaces it.
void give_name(const std::filesystem::path& directory, int64_t step);

// Removes the folders that killed saves left behind, and gives a checkpoint its name back if its replacement was cut
// off. The caller must hold the directory's lock, so that no save is in progress.
void tidy(const std::filesystem::path& directory);

// Called after the checkpoint of step `newest` was published. Keeps the newest `keep` checkpoints up to that step,
// removes the older ones, and calls tidy(). Checkpoints of later steps belong to a line of training that this run did
// not continue: they are neither counted nor touched.
void prune(const std::filesystem::path& directory, int64_t keep, int64_t newest);

// Renames the checkpoints of all steps after `step` to abandoned-step-00001000, with a number appended if that name is
// taken. From then on the newest checkpoint in the directory belongs to the line of training that continues from
// `step`. Returns the new paths. Throws DataError if a folder cannot be renamed.
std::vector<std::filesystem::path> set_aside(const std::filesystem::path& directory, int64_t step);

// Locks a directory for this process and its peers. The constructor creates the lock file, a background thread
// refreshes it, and the destructor removes it. Throws a UserError that names host and process if another live run has
// locked the directory.
// A lock left behind by a dead process of this host is taken over. If the process is alive, the constructor waits up to
// `wait_s` for it to end, because the ranks of a killed run take about a second to do so.
// For a process on another host only the age of the lock is known. The constructor waits until the lock is refreshed
// (UserError: the run is alive) or has become too old to belong to a live run (taken over).
// The lock must be a regular file written by Birkhoff. Anything else under its name, such as a symbolic link, is a
// UserError.
class DirectoryLock {
 public:
  struct Owner {
    std::string host;
    int pid = 0;
  };
  struct Options {
    std::string setting = "run.dir";              // the setting that an error advises to change
    std::function<void(const std::string&)> log;  // receives a line when the constructor waits or takes over a lock
    double stale_after_s = 120, refresh_every_s = 30;
    double wait_s = 10;  // how long to wait for a live process of this host
  };
  DirectoryLock(const std::filesystem::path& directory, Options options);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  void open();
  std::optional<Owner> read_owner() const;
  bool is_ours() const noexcept;
  void claim(const std::optional<Owner>& before);
  bool is_held(const std::optional<Owner>& owner) const;
  void await_end(const std::optional<Owner>& owner);
  void await_refresh(const Owner& owner) const;
  [[noreturn]] void refuse(const std::optional<Owner>& owner) const;
  void log(const std::string& line) const;
  void write_owner();
  void refresh();
  void release();

  std::filesystem::path directory_, path_;
  Options options_;
  int fd_ = -1;
  double waited_s_ = 0;  // total time spent waiting for processes of this host
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread refresher_;
};

}  // namespace birkhoff

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

// Checkpoints of a run: a directory with one folder per checkpoint, step-00001000. A folder under a temporary name is
// not a checkpoint; it gets its name by one rename after everything in it is on disk.
std::string checkpoint_name(int64_t step);
// The step that the name of a checkpoint's folder tells, whether it is finished, unfinished, replaced or set aside.
std::optional<int64_t> step_in_name(const std::filesystem::path& checkpoint);
std::string unfinished_name(int64_t step);

// All folders with a checkpoint's name, by step. Where a kill came between the two renames that replace a checkpoint by
// a newer one of its step, the older one, under the name it was put aside by. Nothing where the directory does not
// exist; DataError where it cannot be read.
std::map<int64_t, std::filesystem::path> find_checkpoints(const std::filesystem::path& directory);
// Their steps, ascending.
std::vector<int64_t> list_checkpoints(const std::filesystem::path& directory);

// The manifest of one checkpoint, its layout checked (layout.h) and the sizes of its files compared. DataError lists
// what is missing, cut off or unexpected.
Manifest open_checkpoint(const std::filesystem::path& checkpoint);

// Besides, reads every byte and compares the checksums, and what HDF5 says of each file with the manifest: of all files
// and parts, or of those numbered `share` modulo `shares`. DataError lists every defect, with tensor, file and offset.
Manifest verify_checkpoint(const std::filesystem::path& checkpoint, int share = 0, int shares = 1);

// Files of the folder that the manifest does not know; they do no harm.
std::vector<std::string> stray_files(const std::filesystem::path& checkpoint, const Manifest& manifest);

// Gives an unfinished folder the name of its step's checkpoint, in place of one that has it.
void give_name(const std::filesystem::path& directory, int64_t step);

// Removes what killed saves left, and gives back its name to a checkpoint whose replacement was cut off. The caller
// holds the directory, so no save is under way.
void tidy(const std::filesystem::path& directory);

// Removes what a run no longer needs when the checkpoint of step `newest` is there: of the checkpoints up to it all but
// `keep`, and what tidy() removes. Later steps, from which the run did not go on, are neither counted nor touched.
void prune(const std::filesystem::path& directory, int64_t keep, int64_t newest);

// Renames the checkpoints of steps later than `step` to abandoned-step-00001000, or with a number behind it where that
// is taken, so that the newest is that of the line which is trained from `step` on. Returns their new paths. DataError
// where one cannot be renamed.
std::vector<std::filesystem::path> set_aside(const std::filesystem::path& directory, int64_t step);

// Holds a directory for this process and its peers: created at construction, removed at destruction, refreshed by a
// thread of its own in between. UserError, with host and process, if another live run holds it. A lock left by a dead
// process of this host is taken over. A live process of this host is waited for a little, since the ranks of a killed
// run take a second to end. Of a process of another host nothing is known but the age of its lock: it is waited for
// until it is refreshed, which is a UserError, or too old for a live run.
// The lock is a regular file of our own: a symbolic link or anything else under its name is a UserError.
class DirectoryLock {
 public:
  struct Owner {
    std::string host;
    int pid = 0;
  };
  struct Options {
    std::string setting = "run.dir";              // what a refusal tells to change
    std::function<void(const std::string&)> log;  // told of a wait and of a lock taken over
    double stale_after_s = 120, refresh_every_s = 30;
    double wait_s = 10;  // for a process of this host
  };
  DirectoryLock(const std::filesystem::path& directory, Options options);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  void open();
  std::optional<Owner> read_owner() const;
  void claim(const std::optional<Owner>& before);
  bool is_held(const std::optional<Owner>& owner) const;
  void await_end(const std::optional<Owner>& owner);
  void await_sign_of_life(const Owner& owner) const;
  [[noreturn]] void refuse(const std::optional<Owner>& owner) const;
  void log(const std::string& line) const;
  void sign();
  void refresh();
  void release();

  std::filesystem::path directory_, path_;
  Options options_;
  int fd_ = -1;
  double waited_s_ = 0;  // for processes of this host
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread refresher_;
};

}  // namespace birkhoff

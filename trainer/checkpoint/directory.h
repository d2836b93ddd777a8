#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trainer/checkpoint/manifest.h"

namespace birkhoff {

// Checkpoints of a run: a directory with one folder per checkpoint, step-00001000. A folder under a temporary name is
// not a checkpoint; it gets its name by one rename after everything in it is on disk.
std::string checkpoint_name(int64_t step);
std::string unfinished_name(int64_t step);

// Steps of all folders with a checkpoint's name, ascending.
std::vector<int64_t> list_checkpoints(const std::filesystem::path& directory);

// The manifest of one checkpoint, the sizes of its files compared. DataError tells what is missing, cut off or
// unexpected.
Manifest open_checkpoint(const std::filesystem::path& checkpoint);

// Besides, reads every byte and compares the checksums: of all files and parts, or of those numbered `share` modulo
// `shares`. DataError names tensor, file and offset.
Manifest verify_checkpoint(const std::filesystem::path& checkpoint, int share = 0, int shares = 1);

// Removes all but the newest `keep` checkpoints, and unfinished folders of other steps.
void prune(const std::filesystem::path& directory, int64_t keep);

// Holds a run's directory for this process and its peers: created at construction, removed at destruction. UserError,
// with host, process and age, if another live run holds it. A lock left by a dead process of this host, or one of
// another host that was not refreshed for two minutes, is taken over; `notice` says so.
class DirectoryLock {
 public:
  DirectoryLock(const std::filesystem::path& directory, std::string& notice);
  // To be called at least every minute.
  void refresh();
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace birkhoff

#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer/checkpoint/manifest.h"

namespace birkhoff {

// Checkpoints of a run: a directory with one folder per checkpoint, step-00001000. A folder under a temporary name is
// not a checkpoint; it gets its name by one rename after everything in it is on disk.
std::string checkpoint_name(int64_t step);
std::string unfinished_name(int64_t step);

// All folders with a checkpoint's name, by step. Where a kill came between the two renames that replace a checkpoint by
// a newer one of its step, the older one, under the name it was put aside by. Nothing where the directory does not
// exist; DataError where it cannot be read.
std::map<int64_t, std::filesystem::path> find_checkpoints(const std::filesystem::path& directory);
// Their steps, ascending.
std::vector<int64_t> list_checkpoints(const std::filesystem::path& directory);

// The manifest of one checkpoint, the sizes of its files compared. DataError tells what is missing, cut off or
// unexpected.
Manifest open_checkpoint(const std::filesystem::path& checkpoint);

// Besides, reads every byte and compares the checksums, and what HDF5 says of each file with the manifest: of all files
// and parts, or of those numbered `share` modulo `shares`. DataError names tensor, file and offset.
Manifest verify_checkpoint(const std::filesystem::path& checkpoint, int share = 0, int shares = 1);

// Files of the folder that the manifest does not know; they do no harm.
std::vector<std::string> stray_files(const std::filesystem::path& checkpoint, const Manifest& manifest);

// Gives an unfinished folder the name of its step's checkpoint, in place of one that has it.
void give_name(const std::filesystem::path& directory, int64_t step);

// Removes what a run no longer needs when the checkpoint of step `newest` is there: of the checkpoints up to it all but
// `keep`, and what killed saves left. Later steps, from which the run did not go on, are neither counted nor touched.
void prune(const std::filesystem::path& directory, int64_t keep, int64_t newest);

// Holds a run's directory for this process and its peers: created at construction, removed at destruction. UserError,
// with host and process, if another live run holds it. A lock left by a dead process of this host, or one of another
// host that was not refreshed for two minutes, is taken over; `notice` says so.
class DirectoryLock {
 public:
  struct Owner {
    std::string host;
    int pid = 0;
  };
  DirectoryLock(const std::filesystem::path& directory, std::string& notice);
  // To be called at least every minute.
  void refresh();
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  void claim(const std::filesystem::path& directory, const std::optional<Owner>& before) const;
  void sign();
  void release();

  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace birkhoff

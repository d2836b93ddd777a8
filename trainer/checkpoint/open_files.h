#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "data/hdf5/bulk_file.h"

namespace birkhoff {

// The files of one checkpoint, each opened at its first use. A checkpoint of many ranks can have more files than a
// process may hold open, so at most kMaxOpen stay open.
class OpenFiles {
 public:
  explicit OpenFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // The reference is valid only until the next call, which may close the file.
  const BulkFile& at(const std::string& name) {
    const auto found = files_.find(name);
    if (found != files_.end()) return found->second;
    if (files_.size() == kMaxOpen) files_.clear();
    return files_.emplace(name, BulkFile::open_to_read(folder_ / name)).first->second;
  }

 private:
  static constexpr size_t kMaxOpen = 16;

  std::filesystem::path folder_;
  std::map<std::string, BulkFile> files_;
};

}  // namespace birkhoff

#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "data/hdf5/bulk_file.h"

namespace birkhoff {

// The files of one checkpoint, each opened at its first use.
class OpenFiles {
 public:
  explicit OpenFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const BulkFile& at(const std::string& name) {
    const auto found = files_.find(name);
    if (found != files_.end()) return found->second;
    return files_.emplace(name, BulkFile::open_to_read(folder_ / name)).first->second;
  }

 private:
  std::filesystem::path folder_;
  std::map<std::string, BulkFile> files_;
};

}  // namespace birkhoff

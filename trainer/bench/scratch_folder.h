#pragma once
#include <filesystem>

#include <unistd.h>

#include "kernels/core/error.h"

namespace birkhoff {

// A new folder in `parent`, removed with all that is in it at the end of the scope.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::filesystem::path& parent) : path_(parent / concat("birkhoff_bench_", ::getpid())) {
    std::error_code error;
    std::filesystem::create_directories(path_, error);
    BK_CHECK(!error, path_.string(), " cannot be made: ", error.message(), ". Choose another --directory");
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace birkhoff

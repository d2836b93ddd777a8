#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/core/process_tag.h"

namespace birkhoff {

// A new folder in `parent`, removed with its content at the end of the scope. The constructor first removes the folders
// that killed processes left behind.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::filesystem::path& parent) : path_(parent / (kPrefix + process_tag())) {
    remove_leftovers(parent);
    std::error_code error;
    std::filesystem::create_directories(path_, error);
    BK_CHECK(!error, path_.string(), " cannot be made: ", error.message(), "; choose another folder");
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  inline static const std::string kPrefix = "birkhoff_scratch_";

  static void remove_leftovers(const std::filesystem::path& parent) {
    std::vector<std::filesystem::path> leftovers;
    std::error_code ignored;
    for (std::filesystem::directory_iterator entry(parent, ignored), end; !ignored && entry != end;
         entry.increment(ignored)) {
      const std::string name = entry->path().filename().string();
      if (name.starts_with(kPrefix) && has_ended(name)) leftovers.push_back(entry->path());
    }
    for (const std::filesystem::path& path : leftovers) std::filesystem::remove_all(path, ignored);
  }

  std::filesystem::path path_;
};

}  // namespace birkhoff

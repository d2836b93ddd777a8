#pragma once
#include <filesystem>

namespace birkhoff {

// The folder that an ingestion writes a dataset to, and the claim on it, which lasts as long as this object: a second
// ingestion into the same folder is refused. The claim is the locked file `.ingestion`, which finish() removes. An
// ingestion that fails or is killed leaves it, and by it the next one knows that the files of a dataset without
// dataset.json are leftovers that it may remove. Without it they belong to somebody else, and the folder is refused.
// Errors: UserError where another ingestion is at work, where a dataset is complete, and where files of others bear
//         names that this one writes; IoError for what the file system refuses.
class OutputFolder {
 public:
  explicit OutputFolder(const std::filesystem::path& output);
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  ~OutputFolder();

  // The dataset is complete.
  void finish();

 private:
  void claim();
  void make_ready();
  bool is_marked() const;
  void mark() const;

  std::filesystem::path output_, claim_;
  int fd_ = -1;
};

// Throws the UserError of a folder that holds a complete dataset.
void refuse_complete_dataset(const std::filesystem::path& output);

}  // namespace birkhoff

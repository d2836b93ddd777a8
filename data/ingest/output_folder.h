#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace birkhoff {

// The folder that an ingestion writes a dataset to, and the claim on it, which lasts as long as this object: a second
// ingestion into the same folder is refused. The claim is the locked file `.ingestion`, which finish() removes. An
// ingestion that fails or is killed leaves it, and by it the next one knows that the shards without dataset.json are
// leftovers that it may remove, and so are the other files that it tells of. All else belongs to somebody else, and the
// folder is refused.
// Errors: UserError where another ingestion is at work, where a dataset is complete, and where files of others bear
//         names that this one writes; IoError for what the file system refuses.
class OutputFolder {
 public:
  explicit OutputFolder(const std::filesystem::path& output);
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  ~OutputFolder();

  // Keeps in mind a file beside the shards that was written, so that the next ingestion may remove it.
  void wrote(const std::filesystem::path& file);

  // The dataset is complete.
  void finish();

 private:
  void claim();
  void make_ready();
  void refuse_files_of_others(const std::vector<std::filesystem::path>& files) const;
  std::string notes() const;
  void mark() const;

  std::filesystem::path output_, claim_;
  int fd_ = -1;
};

// Throws the UserError of a folder that holds a complete dataset.
void refuse_complete_dataset(const std::filesystem::path& output);

}  // namespace birkhoff

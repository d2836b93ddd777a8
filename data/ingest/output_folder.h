#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace birkhoff {

// The folder that an ingestion writes a dataset to. The object holds a claim on it for as long as it lives, so that a
// second ingestion into the same folder is refused.
// The claim is the locked file `.ingestion`, which finish() removes. An ingestion that fails or is killed leaves the
// file behind. The next ingestion concludes from it that shards without dataset.json are leftovers that it may remove,
// and so are the other files that `.ingestion` records. Files that it does not account for belong to somebody else: if
// one has a name that an ingestion writes, the folder is refused.
// Errors: UserError if another ingestion is running, if the folder holds a complete dataset, or if somebody else's
//         files have names that this ingestion writes. IoError if the file system refuses something.
class OutputFolder {
 public:
  explicit OutputFolder(const std::filesystem::path& output);
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  ~OutputFolder();

  // Records a file other than a shard as written by this ingestion, so that the next one may remove it if this one
  // fails.
  void record_file(const std::filesystem::path& file);

  // To be called when the dataset is complete: removes the claim file.
  void finish();

 private:
  void claim();
  void remove_leftovers();
  void refuse_foreign_files(const std::vector<std::filesystem::path>& files) const;
  std::string read_claim() const;
  void begin_claim() const;

  std::filesystem::path output_, claim_;
  int fd_ = -1;
};

// Throws a UserError if the folder holds a complete dataset.
void refuse_complete_dataset(const std::filesystem::path& output);

}  // namespace birkhoff

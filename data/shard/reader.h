#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/hdf5/bulk_file.h"
#include "data/shard/sample.h"

namespace birkhoff {

inline constexpr int kShardVersion = 1;

// Random access to the samples of one shard (docs/formats/shard.md). Construction reads the header and the index and
// checks the index checksum; it keeps 4 bytes a sample and no open file. Reading a sample checks its checksum and its
// token ids. Every complaint is a DataError with path, sample, expected and found. Not for use by two threads at once.
class ShardReader {
 public:
  explicit ShardReader(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  int64_t num_samples() const { return static_cast<int64_t>(lengths_.size()); }
  int64_t num_tokens(int64_t sample) const { return lengths_[static_cast<size_t>(sample)]; }
  int64_t vocab_size() const { return vocab_size_; }
  const std::string& tokenizer_digest() const { return tokenizer_digest_; }

  Sample read(int64_t sample);
  // Opens the file if it is closed; close_file() gives the descriptor back.
  const BulkFile& file();
  bool file_open() const { return file_.has_value(); }
  void close_file() { file_.reset(); }

 private:
  struct Tables;
  Sample parse(int64_t sample, const Tables& tables);

  std::filesystem::path path_;
  H5Dataset sample_table_, segment_table_, tokens_, loss_mask_, bytes_;
  std::vector<int32_t> lengths_;
  int64_t vocab_size_ = 0;
  std::string tokenizer_digest_;
  std::optional<BulkFile> file_;
};

}  // namespace birkhoff

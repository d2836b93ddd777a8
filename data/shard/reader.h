#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/hdf5/bulk_file.h"
#include "data/shard/format.h"
#include "data/shard/sample.h"

namespace birkhoff {

// Random access to the samples of one shard (docs/formats/shard.md). Construction reads header and index and checks
// checksum and consistency of the index; what stays in memory is 12 bytes a sample, and no file stays open. Reading a
// sample checks its checksum and its token ids. Every complaint is a DataError with path, sample, expected and found, a
// DamagedSample where a sample's checksum is wrong. Not for use by two threads at once.
class ShardReader {
 public:
  explicit ShardReader(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  int64_t num_samples() const { return static_cast<int64_t>(num_tokens_.size()); }
  int64_t num_tokens(int64_t sample) const { return num_tokens_[static_cast<size_t>(sample)]; }
  int64_t source_bytes(int64_t sample) const { return source_bytes_[static_cast<size_t>(sample)]; }
  int64_t vocab_size() const { return vocab_size_; }
  const std::string& tokenizer_digest() const { return tokenizer_digest_; }
  // Covers all content: two shards with equal ones hold the same samples in the same order.
  uint64_t index_checksum() const { return index_checksum_; }

  // Opens the file on first use; close_file() gives the descriptor back.
  Sample read(int64_t sample);
  void close_file() { file_.reset(); }

 private:
  void read_header();
  void read_index();
  void check_index(const std::vector<SampleRow>& samples, const std::vector<SegmentRow>& segments) const;
  const BulkFile& file();

  std::filesystem::path path_;
  H5Dataset samples_, segments_, tokens_, loss_mask_, bytes_;
  std::vector<int32_t> num_tokens_;
  std::vector<int64_t> source_bytes_;
  int64_t vocab_size_ = 0;
  uint64_t index_checksum_ = 0;
  std::string tokenizer_digest_;
  std::optional<BulkFile> file_;
};

// The index checksum that a shard says it has, from its header alone. DataError.
uint64_t read_index_checksum(const std::filesystem::path& shard);

}  // namespace birkhoff

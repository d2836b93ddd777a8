#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/hdf5/bulk_file.h"
#include "data/shard/format.h"
#include "data/shard/sample.h"

namespace birkhoff {

// Random access to the samples of one shard (docs/formats/shard.md). The constructor reads the header and the index,
// and checks the index checksum and the consistency of the index. It keeps 12 bytes per sample in memory and no open
// file. read() checks the checksum of the sample and its token ids. Every error is a DataError with path, sample,
// expected and found; it is a DamagedSample if the checksum of a sample is wrong. Not thread safe.
class ShardReader {
 public:
  explicit ShardReader(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  int64_t num_samples() const { return static_cast<int64_t>(num_tokens_.size()); }
  int64_t num_tokens(int64_t sample) const { return num_tokens_[static_cast<size_t>(sample)]; }
  int64_t source_bytes(int64_t sample) const { return source_bytes_[static_cast<size_t>(sample)]; }
  int64_t vocab_size() const { return vocab_size_; }
  const std::string& tokenizer_digest() const { return tokenizer_digest_; }
  // Covers all content: two shards with equal index checksums hold the same samples in the same order.
  uint64_t index_checksum() const { return index_checksum_; }

  // Opens the file on first use. close_file() releases the descriptor until the next read.
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

// Reads the index checksum that a shard records, from its header alone. Throws DataError.
uint64_t read_index_checksum(const std::filesystem::path& shard);

}  // namespace birkhoff

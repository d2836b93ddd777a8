#pragma once
#include <filesystem>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "data/shard/manifest.h"
#include "data/shard/reader.h"

namespace birkhoff {

// The text of a document, ready for training.
struct TextSample {
  std::vector<int32_t> tokens;
  std::vector<uint8_t> loss_mask;
  int64_t source_bytes = 0;
};

// One split of a dataset: samples numbered through all its shards. Construction reads dataset.json alone; a shard is
// opened when a sample of it is first asked for, and at most `max_open_files` hold a file descriptor. Not for use by
// two threads at once.
class ShardSet {
 public:
  ShardSet(std::filesystem::path directory, const std::string& split, int max_open_files = 64);

  const DatasetManifest& manifest() const { return manifest_; }
  int64_t num_samples() const { return first_sample_.back(); }
  int64_t num_tokens(int64_t sample);
  int64_t source_bytes(int64_t sample);
  Sample read(int64_t sample);
  // Equal for two splits that hold the same documents in the same order. A dataset whose dataset.json does not have the
  // index checksums of the shards, as older programs wrote it, has the header of every shard read.
  uint64_t content_digest() const;
  // DataError, with the modality's name, if the sample holds anything but text.
  TextSample read_text(int64_t sample);

 private:
  size_t shard_of(int64_t sample) const;
  ShardReader& reader(size_t shard);
  void remember_open(size_t shard);

  std::filesystem::path directory_;  // of the split
  DatasetManifest manifest_;
  std::vector<ShardEntry> shards_;
  std::vector<int64_t> first_sample_;  // [shards + 1]
  std::vector<std::unique_ptr<ShardReader>> readers_;
  std::list<size_t> open_;  // shards that hold a descriptor, most recently used first
  size_t max_open_files_;
};

// What tells an opened shard from the one that dataset.json describes, each a line that begins with its path.
std::vector<std::string> differences(const ShardReader& shard, const ShardEntry& entry,
                                     const DatasetManifest& manifest);

}  // namespace birkhoff

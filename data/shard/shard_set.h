#pragma once
#include <filesystem>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "data/shard/manifest.h"
#include "data/shard/reader.h"

namespace birkhoff {

// The text of a document, its segments concatenated.
struct TextSample {
  std::vector<int32_t> tokens;
  std::vector<uint8_t> loss_mask;
  int64_t source_bytes = 0;
};

// One split of a dataset, whose samples are numbered consecutively through all its shards. The constructor reads only
// dataset.json. A shard is opened when one of its samples is first requested, and at most `max_open_files` shards hold
// a file descriptor at a time. Not thread safe.
class ShardSet {
 public:
  ShardSet(std::filesystem::path directory, const std::string& split, int max_open_files = 64);

  const DatasetManifest& manifest() const { return manifest_; }
  int64_t num_samples() const { return first_sample_.back(); }
  int64_t num_tokens(int64_t sample);
  int64_t source_bytes(int64_t sample);
  Sample read(int64_t sample);
  // A digest of the content: two splits with equal digests hold the same documents in the same order. It also depends
  // on how the documents are divided into shards. If dataset.json, written by an older program, lacks the index
  // checksums of the shards, this reads the header of every shard.
  uint64_t content_digest() const;
  // Throws a DataError that names the modality if the sample holds anything but text.
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

// The differences between an opened shard and its description in dataset.json, one line each. A line begins with the
// path of the shard.
std::vector<std::string> differences(const ShardReader& shard, const ShardEntry& entry,
                                     const DatasetManifest& manifest);

}  // namespace birkhoff

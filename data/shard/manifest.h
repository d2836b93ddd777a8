#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernels/core/defects.h"

namespace birkhoff {

struct ShardEntry {
  std::string file;  // a plain file name in the directory of the split
  int64_t num_samples = 0, num_tokens = 0, source_bytes = 0;
  std::optional<uint64_t> index_checksum{};  // datasets of older programs have none
  bool whole = true;                         // false if this entry of a defective dataset.json is defective
};

struct SplitManifest {
  int64_t num_samples = 0, num_tokens = 0, source_bytes = 0;
  std::vector<ShardEntry> shards;

  void append(ShardEntry entry);
};

// The contents of dataset.json: what a run needs to know before it opens any shard. Each split lies in a subdirectory
// of its name.
struct DatasetManifest {
  std::string tokenizer_digest;
  int64_t vocab_size = 0;
  int32_t begin_token = 0;  // the first input of every document; not stored
  int32_t end_token = 0;    // the last stored token of every document
  std::map<std::string, SplitManifest> splits;

  const SplitManifest& split(const std::string& name) const;
};

inline constexpr int kDatasetVersion = 1;

void write_manifest(const std::filesystem::path& directory, const DatasetManifest& manifest);
// Throws a DataError if dataset.json is missing, is not JSON, has another format or version, does not match its
// checksum (datasets of older programs have none), or contains a value of the wrong type or out of range.
DatasetManifest read_manifest(const std::filesystem::path& directory);
// The same, but collects all defects of values and of the checksum in `defects` and returns what could be read. A
// digest or vocabulary size with a defect is empty or 0, and a shard is present if its file name could be read.
DatasetManifest read_manifest(const std::filesystem::path& directory, Defects& defects);
// The same for the text of dataset.json. `path` is for messages.
DatasetManifest parse_dataset_manifest(const std::string& text, const std::string& path, Defects& defects);

}  // namespace birkhoff

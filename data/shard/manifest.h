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
  std::string file;  // a plain name, in the split's directory
  int64_t num_samples = 0, num_tokens = 0, source_bytes = 0;
  std::optional<uint64_t> index_checksum{};  // of the shard; datasets of older programs do not have it
  bool whole = true;                         // of a dataset.json with defects: the entry has none
};

struct SplitManifest {
  int64_t num_samples = 0, num_tokens = 0, source_bytes = 0;
  std::vector<ShardEntry> shards;

  void append(ShardEntry entry);
};

// dataset.json: what a run needs to know before it opens any shard. Splits live in subdirectories named after them.
struct DatasetManifest {
  std::string tokenizer_digest;
  int64_t vocab_size = 0;
  int32_t begin_token = 0;  // put before a document as its first input
  int32_t end_token = 0;    // ends every stored document
  std::map<std::string, SplitManifest> splits;

  const SplitManifest& split(const std::string& name) const;
};

inline constexpr int kDatasetVersion = 1;

void write_manifest(const std::filesystem::path& directory, const DatasetManifest& manifest);
// DataError if dataset.json is missing, is not JSON, is of another format or version, was edited (its checksum;
// datasets of older programs have none), or a value is not of its type and range.
DatasetManifest read_manifest(const std::filesystem::path& directory);
// The same for one that lists all defects: those of values and of the checksum are added, and what is returned is what
// can be read: a digest or vocabulary with a defect is empty or 0, and shards are there as far as their file is named.
DatasetManifest read_manifest(const std::filesystem::path& directory, Defects& defects);
// The same of its text; `path` is for messages.
DatasetManifest parse_dataset_manifest(const std::string& text, const std::string& path, Defects& defects);

}  // namespace birkhoff

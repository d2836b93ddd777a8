#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/shard/manifest.h"
#include "data/shard/sample.h"

namespace birkhoff {

struct ShardOptions {
  int64_t vocab_size = 0;        // token ids must be below it
  std::string tokenizer_digest;  // digest of tokenizer.json, recorded in every shard
  int64_t max_shard_bytes = int64_t{64} << 20;
};

// Writes samples in order into shard-00000.h5, shard-00001.h5, ... of a directory. A shard is closed before the sample
// that would make it exceed max_shard_bytes; a sample larger than that gets a shard of its own. A shard appears whole
// or not at all.
class ShardWriter {
 public:
  ShardWriter(std::filesystem::path directory, ShardOptions options);
  // Throws a DataError if a segment is inconsistent or holds a token id outside the vocabulary.
  void add(Sample sample);
  // Publishes the last shard and returns the manifest entry of the split. Call it once, at the end.
  SplitManifest finish();

 private:
  void publish();

  std::filesystem::path directory_;
  ShardOptions options_;
  std::vector<Sample> pending_;
  int64_t pending_bytes_ = 0;
  SplitManifest split_;
};

}  // namespace birkhoff

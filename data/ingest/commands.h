#pragma once
// What `birkhoff data ingest|inspect|verify` do, apart from the command line.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/ingest/documents.h"
#include "data/shard/manifest.h"

namespace birkhoff {

struct IngestOptions {
  std::vector<std::string> inputs;  // files and folders: see CorpusOptions
  std::string tokenizer;            // path of tokenizer.json
  std::filesystem::path output;     // a directory without dataset.json
  TextFormat format = TextFormat::automatic;
  SplitRule split;
  std::string json_field = "text";  // of JSON lines
  BadData bad_lines = BadData::fail;
  int64_t max_bad_lines = 100;    // under skip: DataError above it
  int64_t max_file_bytes = 0;     // see UnpackLimits
  double heldout_fraction = 0.0;  // of the documents, each chosen by (seed, its number)
  uint64_t seed = 1;
  int64_t max_shard_bytes = int64_t{64} << 20;
  bool write_heldout_text = false;  // heldout.txt: the raw bytes of the held-out documents, one after the other
  int num_threads = 1;              // that tokenize
  Log log;
};

// Reads, splits, tokenizes and writes output/{train,heldout}/*.h5, then output/dataset.json: without that file there is
// no dataset. Each document ends with the tokenizer's end token. The result does not depend on num_threads. JSON lines
// that were left out are listed in output/bad_samples.jsonl, also where there were too many. UserError for bad options,
// DataError for unusable input, IoError for what cannot be read or written.
DatasetManifest ingest(const IngestOptions& options);

// A table of splits and shards (a dataset directory), or of the samples of one shard.
std::string inspect_data(const std::filesystem::path& path);

// Reads every sample of a dataset directory or of one shard and says how many. DataError lists the first 20 defects.
std::string verify_data(const std::filesystem::path& path);

// Digest of a tokenizer.json as dataset.json and shards carry it: its SHA-256.
std::string tokenizer_digest(const std::string& tokenizer_json);

}  // namespace birkhoff

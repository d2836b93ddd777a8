#pragma once
// Implements `birkhoff data ingest`, `inspect` and `verify`, without their command lines.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/ingest/documents.h"
#include "data/shard/manifest.h"

namespace birkhoff {

struct IngestOptions {
  std::vector<std::string> inputs;  // files and folders: see CorpusOptions
  std::string tokenizer;            // path of a tokenizer.json
  std::filesystem::path output;     // a directory that holds no dataset.json yet
  TextFormat format = TextFormat::automatic;
  SplitRule split;
  std::string json_field = "text";  // key of the text in each JSON line
  BadData bad_lines = BadData::fail;
  int64_t max_bad_lines = 100;    // with `skip`: more than this many is a DataError
  int64_t max_file_bytes = 0;     // see UnpackLimits
  double heldout_fraction = 0.0;  // of the documents; a document is chosen by (seed, its index)
  uint64_t seed = 1;
  int64_t max_shard_bytes = int64_t{64} << 20;
  bool write_heldout_text = false;  // heldout.txt: the raw bytes of all held-out documents, concatenated
  int num_threads = 1;              // for tokenization
  Log log;
};

// Reads the inputs, splits them into documents, tokenizes these, and writes output/{train,heldout}/*.h5. It writes
// output/dataset.json last: without that file there is no dataset. The tokenizer's end token is appended to each
// document. The result does not depend on num_threads. Skipped JSON lines are listed in output/bad_samples.jsonl, even
// if there were too many of them.
// Errors: UserError for bad options, DataError for unusable input, IoError if something cannot be read or written.
DatasetManifest ingest(const IngestOptions& options);

// Describes the splits of a dataset directory, or the first samples of one shard, as text.
std::string inspect_data(const std::filesystem::path& path);

// Reads every sample of a dataset directory or of one shard, and returns a line that counts them. Throws a DataError if
// anything is wrong; it lists the first 20 defects of dataset.json and of each shard (kernels/core/defects.h).
std::string verify_data(const std::filesystem::path& path);

// The digest of a tokenizer.json that dataset.json and the shards record: its SHA-256.
std::string tokenizer_digest(const std::string& tokenizer_json);

}  // namespace birkhoff

#pragma once
// The commands of `birkhoff data`, as functions that return text; the command line prints it.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/ingest/documents.h"
#include "data/shard/manifest.h"

namespace birkhoff {

struct IngestOptions {
  std::vector<std::filesystem::path> inputs;  // files and folders; .gz, .dz and .zst are unpacked by content
  std::filesystem::path tokenizer;            // tokenizer.json
  std::filesystem::path output;               // a directory without dataset.json
  SplitRule split;                            // text files to documents
  std::string json_field = "text";            // of .jsonl lines
  double heldout_fraction = 0.0;              // of the documents, chosen by seed
  uint64_t seed = 1;
  int64_t max_shard_bytes = int64_t{64} << 20;
  bool write_heldout_text = false;  // heldout.txt: the raw bytes of the held-out documents, one after the other
  int num_threads = 1;              // that tokenize
};

// Reads, splits, tokenizes and writes output/{train,heldout}/*.h5, then output/dataset.json: without that file there is
// no dataset. The result does not depend on num_threads. UserError for bad options, DataError for unusable input.
DatasetManifest ingest(const IngestOptions& options);

// A table of splits and shards, or of one shard's header and first samples.
std::string inspect_data(const std::filesystem::path& path);

// Reads every sample of a dataset or shard. DataError names all defects found, first to last, at most 20.
std::string verify_data(const std::filesystem::path& path);

}  // namespace birkhoff

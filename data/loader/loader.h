#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/loader/batch.h"
#include "data/loader/mixture_change.h"
#include "data/shard/bad_data.h"

namespace birkhoff {

// The name of a source that was given none: the last part of its path, however the path is written ("data", "./data/",
// "other/../data").
std::string source_name(const std::filesystem::path& path);

struct SourceOptions {
  std::string name;
  std::filesystem::path directory;  // of dataset.json
  double weight = 1.0;
};

class EngramAddresses;

struct LoaderOptions {
  std::vector<SourceOptions> sources;
  std::string split = "train";
  uint64_t seed = 1;
  int64_t vocab_size = 0;        // of the model: a dataset with a larger one is refused
  std::string tokenizer_digest;  // if not empty, every dataset must carry it
  int mtp_depth = 0;
  BadData bad_samples = BadData::fail;
  int64_t max_bad_samples = 100;  // with skip: DataError above it
  MixtureChange mixture_change = MixtureChange::refuse;
  int replica = 0, num_replicas = 1;
  int prefetch_steps = 2;                         // 0: no thread
  std::shared_ptr<const EngramAddresses> engram;  // null: no Engram layers
};

// The training stream of one replica. The order of all sequences is a function of (seed, mixture, consumed sequences);
// replica r of n takes microbatches [rM/n, (r+1)M/n) of a global batch of M, so the union over replicas is the same for
// any n. A document that cannot be read becomes, under `skip`, masked end tokens of the same length: packing, and with
// it every other replica's data, stays as it is.
class Loader {
 public:
  // UserError for a bad mixture, DataError for unusable data.
  explicit Loader(const LoaderOptions& options, const std::optional<Cursor>& resume = std::nullopt);
  ~Loader();

  // The next step. The thread prepares steps of the last shape asked for; another shape discards them and costs one
  // wait. An error met by the thread is rethrown here. UserError if the shape does not divide among the replicas.
  StepBatch next(const StepShape& shape);
  // The cursor after the last step returned.
  const Cursor& cursor() const;
  // What is to be said of the cursor that the loader began with; mostly nothing.
  const std::string& notice() const;
  // Time next() has spent waiting for data.
  double wait_s() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace birkhoff

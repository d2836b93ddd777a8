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

// The default name of a source: the last component of its path, however the path is written ("data", "./data/",
// "other/../data").
std::string source_name(const std::filesystem::path& path);

struct SourceOptions {
  std::string name;
  std::filesystem::path directory;  // contains dataset.json
  double weight = 1.0;
};

class EngramAddresses;

struct LoaderOptions {
  std::vector<SourceOptions> sources;
  std::string split = "train";
  uint64_t seed = 1;
  int64_t vocab_size = 0;        // of the model; a dataset with a larger vocabulary is refused
  std::string tokenizer_digest;  // if not empty, every dataset must have the same
  int mtp_depth = 0;
  BadData bad_samples = BadData::fail;
  int64_t max_bad_samples = 100;  // with `skip`: more than this many is a DataError
  MixtureChange mixture_change = MixtureChange::refuse;
  int replica = 0, num_replicas = 1;
  int prefetch_steps = 2;                         // steps to prepare in advance; 0: no thread
  std::shared_ptr<const EngramAddresses> engram;  // null: no Engram layers
};

// The training stream of one replica. The order of all sequences is a function of (seed, mixture, consumed sequences).
// Replica r of n takes microbatches [rM/n, (r+1)M/n) of a global batch of M, so the union over the replicas is the same
// for any n. With `skip`, a document whose bytes are damaged is replaced by masked end tokens of the same length, so
// that packing, and therefore the data of every other replica, does not change.
class Loader {
 public:
  // Throws a UserError for a bad mixture, and a DataError for unusable data.
  explicit Loader(const LoaderOptions& options, const std::optional<Cursor>& resume = std::nullopt);
  ~Loader();

  // Returns the next step. The thread prepares steps of the most recent shape; a new shape discards them and costs one
  // wait. An error of the thread is rethrown here. Throws a UserError if the shape does not divide among the replicas.
  StepBatch next(const StepShape& shape);
  // The cursor after the step that was returned last.
  const Cursor& cursor() const;
  // A message for the user about the cursor that the loader resumed from; usually empty.
  const std::string& notice() const;
  // Total time that next() has waited for data, in seconds.
  double wait_s() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace birkhoff

#include <algorithm>
#include <fstream>
#include <utility>

#include "data/hdf5/bulk_file.h"
#include "data/ingest/commands.h"
#include "data/shard/writer.h"
#include "data/tokenizer/commands.h"
#include "data/tokenizer/sha256.h"
#include "data/tokenizer/tokenizer.h"
#include "kernels/core/error.h"
#include "kernels/core/philox.h"
#include "kernels/core/thread.h"

namespace birkhoff {
namespace {

constexpr char kTrain[] = "train", kHeldout[] = "heldout";
constexpr size_t kDocumentsPerRound = 4096;

// Takes documents in order, tokenizes them by rounds on several threads, and writes them in the same order.
class Ingestion {
 public:
  Ingestion(const IngestOptions& options, const Tokenizer& tokenizer, const ShardOptions& shards, int32_t end_token)
      : options_(options),
        tokenizer_(tokenizer),
        end_token_(end_token),
        chosen_(options.seed, key_of("heldout")),
        train_(options.output / kTrain, shards),
        heldout_(options.output / kHeldout, shards) {
    if (options.write_heldout_text) text_.open(options.output / "heldout.txt", std::ios::binary);
  }

  void add(std::string_view document) {
    pending_.emplace_back(document);
    if (pending_.size() == kDocumentsPerRound) flush();
  }

  std::pair<SplitManifest, SplitManifest> finish() {
    flush();
    if (options_.write_heldout_text && !text_.flush())
      throw DataError((options_.output / "heldout.txt").string() + ": cannot write");
    return {train_.finish(), heldout_.finish()};
  }

 private:
  void flush() {
    std::vector<std::vector<int32_t>> tokens(pending_.size());
    const auto num_threads = static_cast<size_t>(std::max(1, options_.num_threads));
    run_on_threads(num_threads, "tokenizes", [&](size_t first) {
      for (size_t i = first; i < pending_.size(); i += num_threads) tokens[i] = tokenizer_.encode(pending_[i]);
    });
    for (size_t i = 0; i < pending_.size(); ++i) store(pending_[i], std::move(tokens[i]));
    pending_.clear();
  }

  void store(const std::string& document, std::vector<int32_t> tokens) {
    tokens.push_back(end_token_);
    Sample sample;
    sample.source_bytes = static_cast<int64_t>(document.size());
    sample.segments.push_back(Segment::text(std::move(tokens)));
    const bool held_out = chosen_.uniform(count_++) < options_.heldout_fraction;
    (held_out ? heldout_ : train_).add(std::move(sample));
    if (held_out && text_.is_open()) text_ << document;
  }

  const IngestOptions& options_;
  const Tokenizer& tokenizer_;
  int32_t end_token_;
  Philox chosen_;
  ShardWriter train_, heldout_;
  std::ofstream text_;
  std::vector<std::string> pending_;
  uint64_t count_ = 0;
};

void check(const IngestOptions& options) {
  BK_CHECK(options.heldout_fraction >= 0 && options.heldout_fraction < 1, "the held-out fraction is ",
           options.heldout_fraction, ", but must be in [0, 1)");
  BK_CHECK(!options.output.empty(), "name the directory to write the dataset to");
  BK_CHECK(!std::filesystem::exists(options.output / "dataset.json"), options.output.string(),
           " already holds a dataset; name another directory or remove it");
}

// What an ingestion that did not finish left behind.
void remove_shards(const std::filesystem::path& split) {
  if (!std::filesystem::is_directory(split)) return;
  std::vector<std::filesystem::path> stale;
  for (const auto& entry : std::filesystem::directory_iterator(split))
    if (const std::string name = entry.path().filename().string();
        entry.is_regular_file() && (name.starts_with("shard-") || name.starts_with(".shard-")))
      stale.push_back(entry.path());
  for (const std::filesystem::path& path : stale) {
    std::error_code error;
    std::filesystem::remove(path, error);
    BK_CHECK(!error, path.string(), " of an earlier ingestion cannot be removed: ", error.message());
  }
}

}  // namespace

std::string tokenizer_digest(const std::string& tokenizer_json) { return sha256_hex(tokenizer_json); }

DatasetManifest ingest(const IngestOptions& options) {
  check(options);
  const Tokenizer tokenizer = Tokenizer::load(options.tokenizer);
  const auto end = tokenizer.eos();
  BK_CHECK(end.has_value(), options.tokenizer, " has no end-of-text token; add one, such as <|endoftext|>");
  const std::vector<std::string> files = expand_paths(options.inputs);
  std::filesystem::create_directories(options.output);
  for (const char* split : {kTrain, kHeldout}) remove_shards(options.output / split);

  DatasetManifest manifest{
      tokenizer_digest(tokenizer.to_json()), tokenizer.vocab_size(), tokenizer.bos().value_or(*end), *end, {}};
  Ingestion ingestion(options, tokenizer, {manifest.vocab_size, manifest.tokenizer_digest, options.max_shard_bytes},
                      *end);
  for (const std::string& file : files)
    read_documents(file, options.split, options.json_field,
                   [&](std::string_view document) { ingestion.add(document); });
  auto splits = ingestion.finish();
  if (splits.first.num_samples == 0) throw DataError("the input holds no text to train on");
  manifest.splits[kTrain] = std::move(splits.first);
  manifest.splits[kHeldout] = std::move(splits.second);
  write_manifest(options.output, manifest);
  return manifest;
}

}  // namespace birkhoff

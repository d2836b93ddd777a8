#include <algorithm>
#include <memory>
#include <utility>

#include "data/hdf5/bulk_file.h"
#include "data/ingest/commands.h"
#include "data/ingest/output_folder.h"
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

// Writes heldout.txt under a temporary name, so that it appears whole or not at all.
class HeldoutText {
 public:
  explicit HeldoutText(const std::filesystem::path& folder)
      : path_(folder / "heldout.txt"), temporary_(new_temporary(path_)), file_(BulkFile::create(temporary_)) {}
  ~HeldoutText() {
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
  }
  void append(std::string_view text) {
    file_.write(bytes_, text.data(), text.size());
    bytes_ += static_cast<int64_t>(text.size());
  }
  void publish() { publish_file(temporary_, path_); }

 private:
  std::filesystem::path path_, temporary_;
  BulkFile file_;
  int64_t bytes_ = 0;
};

// Takes documents in order, tokenizes a round of them at a time on several threads, and writes them in the original
// order.
class Ingestion {
 public:
  Ingestion(const IngestOptions& options, const Tokenizer& tokenizer, const ShardOptions& shards, int32_t end_token)
      : options_(options),
        tokenizer_(tokenizer),
        end_token_(end_token),
        chosen_(options.seed, key_of("heldout")),
        train_(options.output / kTrain, shards),
        heldout_(options.output / kHeldout, shards) {
    if (options.write_heldout_text) text_ = std::make_unique<HeldoutText>(options.output);
  }

  void add(std::string_view document) {
    pending_.emplace_back(document);
    if (pending_.size() == kDocumentsPerRound) flush();
  }

  std::pair<SplitManifest, SplitManifest> finish() {
    flush();
    return {train_.finish(), heldout_.finish()};
  }

  // Called after all shards are written, because an ingestion that fails leaves no heldout.txt.
  void publish_heldout_text(OutputFolder& output) {
    if (text_) text_->publish();
    if (text_) output.record_file(options_.output / "heldout.txt");
  }

 private:
  void flush() {
    std::vector<std::vector<int32_t>> tokens(pending_.size());
    const auto num_threads = static_cast<size_t>(std::max(1, options_.num_threads));
    run_on_threads(num_threads, "tokenizes", [&](size_t first) {
      for (size_t i = first; i < pending_.size(); i += num_threads) tokens[i] = tokenizer_.encode(pending_[i]);
    });
    // Stored in order and by one thread, so that the shards do not depend on the number of threads.
    for (size_t i = 0; i < pending_.size(); ++i) store(pending_[i], std::move(tokens[i]));
    pending_.clear();
  }

  void store(const std::string& document, std::vector<int32_t> tokens) {
    tokens.push_back(end_token_);
    Sample sample;
    sample.source_bytes = static_cast<int64_t>(document.size());
    sample.segments.push_back(Segment::text(std::move(tokens)));
    // The choice depends only on the seed and the index of the document, and so not on the number of threads.
    const bool held_out = chosen_.uniform(count_++) < options_.heldout_fraction;
    (held_out ? heldout_ : train_).add(std::move(sample));
    if (held_out && text_) text_->append(document);
  }

  const IngestOptions& options_;
  const Tokenizer& tokenizer_;
  int32_t end_token_;
  Philox chosen_;
  ShardWriter train_, heldout_;
  std::unique_ptr<HeldoutText> text_;
  std::vector<std::string> pending_;
  uint64_t count_ = 0;
};

void check(const IngestOptions& options) {
  BK_CHECK(options.heldout_fraction >= 0 && options.heldout_fraction < 1, "the held-out fraction is ",
           options.heldout_fraction, ", but must be in [0, 1)");
  BK_CHECK(!options.output.empty(), "name the directory to write the dataset to");
  refuse_complete_dataset(options.output);
}

CorpusOptions corpus_of(const IngestOptions& options) {
  return {options.inputs,         options.format, options.split, options.json_field,
          options.max_file_bytes, options.output, options.log};
}

// Writes the list of skipped JSON lines.
void publish_bad_lines(const IngestOptions& options, const BadLines& bad, OutputFolder& output) {
  const auto list = options.output / "bad_samples.jsonl";
  if (bad.count() == 0) return;
  publish_text(list, bad.to_json_lines());
  output.record_file(list);
  if (options.log) options.log(concat("left out ", bad.count(), " bad JSON lines, listed in ", shown(list)));
}

DatasetManifest ingest_checked(const IngestOptions& options) {
  check(options);
  const Tokenizer tokenizer = Tokenizer::load(options.tokenizer);
  const auto end = tokenizer.eos();
  BK_CHECK(end.has_value(), options.tokenizer, " has no end-of-text token; add one, such as <|endoftext|>");
  const Corpus corpus(corpus_of(options));
  OutputFolder output(options.output);

  DatasetManifest manifest{
      tokenizer_digest(tokenizer.to_json()), tokenizer.vocab_size(), tokenizer.bos().value_or(*end), *end, {}};
  Ingestion ingestion(options, tokenizer, {manifest.vocab_size, manifest.tokenizer_digest, options.max_shard_bytes},
                      *end);
  BadLines bad(options.bad_lines, options.max_bad_lines);
  // The list of bad lines is written even if reading fails, since "too many bad lines" is one of the failures.
  std::exception_ptr failure;
  try {
    corpus.read(bad, [&ingestion](std::string_view document) { ingestion.add(document); });
  } catch (const Error&) {
    failure = std::current_exception();
  }
  publish_bad_lines(options, bad, output);
  if (failure) std::rethrow_exception(failure);
  auto splits = ingestion.finish();
  BK_CHECK(
      splits.first.num_samples > 0 || splits.second.num_samples == 0, "all documents, ", splits.second.num_samples,
      ", went to the held-out split, and none is left to train on; expected a smaller --heldout, or more documents");
  if (splits.first.num_samples == 0) throw DataError("the input holds no text to train on");
  manifest.splits[kTrain] = std::move(splits.first);
  manifest.splits[kHeldout] = std::move(splits.second);
  ingestion.publish_heldout_text(output);
  // The manifest is written last, because a folder that has one counts as a complete dataset.
  write_manifest(options.output, manifest);
  output.finish();
  return manifest;
}

}  // namespace

std::string tokenizer_digest(const std::string& tokenizer_json) { return sha256_hex(tokenizer_json); }

DatasetManifest ingest(const IngestOptions& options) {
  return with_io_errors([&options] { return ingest_checked(options); });
}

}  // namespace birkhoff

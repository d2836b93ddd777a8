#include "data/loader/eval_reader.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "data/loader/engram_addresses.h"
#include "data/loader/sources.h"
#include "data/loader/step_builder.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

struct ScoredPiece {
  DocumentPiece piece;
  int64_t context = 0;  // the first inputs of the piece, which are attended to but not scored
};
using Sequence = std::vector<ScoredPiece>;

// Packs the documents in order into sequences, and cuts them where a sequence ends.
std::vector<Sequence> plan(ShardSet& shards, int64_t documents, const EvalOptions& options) {
  std::vector<Sequence> sequences;
  int64_t room = 0;
  for (int64_t document = 0; document < documents; ++document) {
    const int64_t tokens = shards.num_tokens(document);
    for (int64_t offset = 0; offset < tokens;) {
      if (room == 0) {
        sequences.emplace_back();
        room = options.sequence_length;
      }
      // Only a piece at the start of a sequence has lost its context, and only a document that began earlier has any.
      const bool starts_sequence = room == options.sequence_length;
      const int64_t context = starts_sequence ? std::min(offset, options.context_tokens) : 0;
      const int64_t scored = std::min(tokens - offset, room - context);
      sequences.back().push_back({{0, document, offset - context, context + scored}, context});
      room -= context + scored;
      offset += scored;
    }
  }
  return sequences;
}

}  // namespace

class EvalReader::Impl {
 public:
  explicit Impl(EvalOptions options) : options_(std::move(options)), shards_(options_.directory, options_.split) {
    BK_CHECK(options_.sequence_length > 0 && options_.microbatch_sequences > 0, "an evaluation batch of ",
             options_.microbatch_sequences, " sequences of length ", options_.sequence_length, " is empty");
    BK_CHECK(options_.context_tokens >= 0 && options_.context_tokens < options_.sequence_length, "a context of ",
             options_.context_tokens, " tokens leaves nothing to score in ", options_.sequence_length);
    BK_CHECK(options_.replica >= 0 && options_.replica < options_.num_replicas, "replica ", options_.replica, " of ",
             options_.num_replicas, " does not exist");
    check_dataset(options_.directory, shards_.manifest(), options_.vocab_size, options_.tokenizer_digest);
    documents_ = shards_.num_samples();
    if (options_.max_documents > 0) documents_ = std::min(documents_, options_.max_documents);
    if (documents_ == 0)
      throw DataError(concat(options_.directory.string(), ": split '", options_.split, "' has no documents"));
    sequences_ = plan(shards_, documents_, options_);
    if (options_.max_sequences > 0 && options_.max_sequences < static_cast<int64_t>(sequences_.size()))
      sequences_.resize(static_cast<size_t>(options_.max_sequences));
    for (int64_t i = 0; i < documents_; ++i) {
      source_bytes_ += shards_.source_bytes(i);
      num_targets_ += shards_.num_tokens(i);
    }
  }

  std::optional<StepBatch> next() {
    if (at_ == num_microbatches()) return std::nullopt;
    const int64_t microbatch = at_++ * options_.num_replicas + options_.replica;
    BatchBuilder builder(options_.microbatch_sequences, options_.sequence_length, options_.mtp_depth);
    const auto first = static_cast<size_t>(microbatch * options_.microbatch_sequences);
    // In the last round, a replica may be past the last sequence: its microbatch then holds only padding.
    const size_t last = std::min(first + static_cast<size_t>(options_.microbatch_sequences), sequences_.size());
    for (size_t i = first; i < last; ++i) {
      builder.begin_sequence(static_cast<int64_t>(i));
      for (const ScoredPiece& p : sequences_[i])
        builder.append(p.piece, document(p.piece.document), shards_.manifest().begin_token, p.context);
    }
    builder.pad(shards_.manifest().end_token);
    StepBatch step;
    step.microbatches.push_back(builder.finish());
    count_tokens(step);
    step.global_tokens = step.local_tokens * options_.num_replicas;
    if (options_.engram) options_.engram->fill(step);
    return step;
  }

  void rewind() { at_ = 0; }
  int64_t source_bytes() const { return source_bytes_; }
  int64_t num_targets() const { return num_targets_; }
  int64_t num_microbatches() const {
    const int64_t per_round = options_.microbatch_sequences * options_.num_replicas;
    return (static_cast<int64_t>(sequences_.size()) + per_round - 1) / per_round;
  }

 private:
  const TextSample& document(int64_t id) {
    if (cached_document_ != id) {
      text_ = shards_.read_text(id);
      cached_document_ = id;
    }
    return text_;
  }

  EvalOptions options_;
  ShardSet shards_;
  std::vector<Sequence> sequences_;
  int64_t documents_ = 0, source_bytes_ = 0, num_targets_ = 0;
  int64_t at_ = 0, cached_document_ = -1;
  TextSample text_;
};

EvalReader::EvalReader(EvalOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
EvalReader::~EvalReader() = default;
std::optional<StepBatch> EvalReader::next() { return impl_->next(); }
void EvalReader::rewind() { impl_->rewind(); }
int64_t EvalReader::source_bytes() const { return impl_->source_bytes(); }
int64_t EvalReader::num_targets() const { return impl_->num_targets(); }
int64_t EvalReader::num_microbatches() const { return impl_->num_microbatches(); }

}  // namespace birkhoff

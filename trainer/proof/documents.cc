#include "trainer/proof/documents.h"

#include <algorithm>

#include "data/loader/step_builder.h"
#include "data/loader/stream.h"
#include "kernels/core/error.h"
#include "kernels/core/philox.h"

namespace birkhoff {
namespace {

// Draws the documents of one sequence.
class SequenceDrawer {
 public:
  SequenceDrawer(const Config& config, uint64_t seed, int64_t number)
      : vocab_(static_cast<uint64_t>(config.model.vocab_size)),
        length_(config.batch.sequence_length),
        number_(number),
        random_(seed, static_cast<uint64_t>(number)) {}

  void append_to(BatchBuilder& builder) {
    builder.begin_sequence(number_);
    for (int64_t begin = 0; begin < length_;) {
      DocumentPiece piece;
      piece.document = number_;
      piece.length = std::min(drawn_length(), length_ - begin);
      // The targets of a piece may lie beyond it, as where the end of a sequence cuts a document off.
      builder.append(piece, document(piece.length + below(3)), static_cast<int32_t>(below(vocab_)));
      begin += piece.length;
    }
  }

 private:
  int64_t below(uint64_t bound) { return static_cast<int64_t>(random_.below(draws_++, bound)); }
  int64_t drawn_length() {
    if (number_ % 5 == 3) return length_;
    return 2 * below(static_cast<uint64_t>(std::max<int64_t>(1, length_ / 4))) + 1;
  }
  TextSample document(int64_t length) {
    TextSample text;
    const auto masked = static_cast<uint64_t>(3 + number_ % 4);
    for (int64_t i = 0; i < length; ++i) {
      text.tokens.push_back(static_cast<int32_t>(below(vocab_)));
      text.loss_mask.push_back(below(masked) > 0);
    }
    return text;
  }

  uint64_t vocab_;
  int64_t length_, number_;
  Philox random_;
  uint64_t draws_ = 0;
};

}  // namespace

DrawnDocuments::DrawnDocuments(const Config& config, uint64_t seed, std::shared_ptr<const EngramAddresses> engram)
    : config_(config), seed_(seed), engram_(std::move(engram)) {
  BK_ASSERT(config.model.vocab_size > 0, "documents need a vocabulary");
}

StepBatch DrawnDocuments::share(int64_t step, int replica, int replicas) const {
  const BatchConfig& b = config_.batch;
  const int64_t each = b.global_batch_size / replicas, begin = step * b.global_batch_size + each * replica;
  BK_ASSERT(each * replicas == b.global_batch_size && each % b.micro_batch_size == 0, "a batch of ",
            b.global_batch_size, " for ", replicas, " replicas");
  StepBatch out;
  for (int64_t first = begin; first < begin + each; first += b.micro_batch_size) {
    BatchBuilder builder(b.micro_batch_size, b.sequence_length, static_cast<int>(config_.model.mtp.depth));
    for (int64_t n = first; n < first + b.micro_batch_size; ++n) SequenceDrawer(config_, seed_, n).append_to(builder);
    out.microbatches.push_back(builder.finish());
  }
  count_tokens(out);
  out.global_tokens = b.global_batch_size * b.sequence_length;
  if (engram_) engram_->fill(out);
  return out;
}

}  // namespace birkhoff

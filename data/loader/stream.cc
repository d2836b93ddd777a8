#include "data/loader/stream.h"

#include <algorithm>
#include <utility>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

int32_t target_at(const TextSample& document, int64_t position) {
  const auto i = static_cast<size_t>(position);
  return i < document.tokens.size() && document.loss_mask[i] != 0 ? document.tokens[i] : -1;
}

}  // namespace

int64_t SourceStream::document_at(const SourceCursor& cursor) {
  if (epoch_ != cursor.epoch) {
    order_.emplace(seed_ ^ static_cast<uint64_t>(cursor.epoch) * 0x9e3779b97f4a7c15u, key_, shards_->num_samples());
    epoch_ = cursor.epoch;
  }
  return (*order_)(cursor.ordinal);
}

std::vector<DocumentPiece> SourceStream::take(int64_t length, SourceCursor& cursor) {
  std::vector<DocumentPiece> pieces;
  while (length > 0) {
    const int64_t document = document_at(cursor), tokens = shards_->num_tokens(document);
    const int64_t taken = std::min(length, tokens - cursor.offset);
    // Documents may be empty.
    if (taken > 0) pieces.push_back({0, document, cursor.offset, taken});
    length -= taken;
    cursor.offset += taken;
    if (cursor.offset < tokens) continue;
    cursor.offset = 0;
    if (++cursor.ordinal < shards_->num_samples()) continue;
    cursor.ordinal = 0;
    ++cursor.epoch;
  }
  return pieces;
}

void SourceStream::fit(SourceCursor& cursor) {
  if (cursor.ordinal >= shards_->num_samples()) {
    cursor.ordinal = cursor.offset = 0;
    ++cursor.epoch;
  }
  if (cursor.offset > 0 && cursor.offset >= shards_->num_tokens(document_at(cursor))) cursor.offset = 0;
}

BatchBuilder::BatchBuilder(int64_t num_sequences, int64_t sequence_length, int mtp_depth) {
  batch_.num_sequences = num_sequences;
  batch_.sequence_length = sequence_length;
  batch_.targets.resize(static_cast<size_t>(mtp_depth) + 1);
  const auto T = static_cast<size_t>(batch_.num_tokens());
  for (auto* column : {&batch_.tokens, &batch_.positions, &batch_.document_start}) column->reserve(T);
  for (auto& column : batch_.targets) column.reserve(T);
  batch_.loss_weights.reserve(T);
}

void BatchBuilder::begin_sequence(int64_t sample_id) { batch_.sample_ids.push_back(sample_id); }

void BatchBuilder::append(const DocumentPiece& piece, const TextSample& document, int32_t begin_token,
                          int64_t context) {
  // A document that began in an earlier sequence starts anew here: positions and attention do not cross sequences.
  const auto start = static_cast<int32_t>(batch_.tokens.size());
  for (int64_t i = 0; i < piece.length; ++i) {
    const int64_t p = piece.offset + i;
    batch_.tokens.push_back(p == 0 ? begin_token : document.tokens[static_cast<size_t>(p - 1)]);
    batch_.positions.push_back(static_cast<int32_t>(i));
    batch_.document_start.push_back(start);
    for (size_t d = 0; d < batch_.targets.size(); ++d)
      batch_.targets[d].push_back(i < context ? -1 : target_at(document, p + static_cast<int64_t>(d)));
    batch_.loss_weights.push_back(batch_.targets[0].back() >= 0 ? 1.0f : 0.0f);
  }
  batch_.pieces.push_back(piece);
}

void BatchBuilder::pad(int32_t token) {
  if (static_cast<int64_t>(batch_.tokens.size()) < batch_.num_tokens()) {
    batch_.token_mask.assign(batch_.tokens.size(), 1);
    batch_.token_mask.resize(static_cast<size_t>(batch_.num_tokens()), 0);
  }
  while (static_cast<int64_t>(batch_.tokens.size()) < batch_.num_tokens()) {
    const auto t = static_cast<int64_t>(batch_.tokens.size());
    if (padded_from_ < 0 || t % batch_.sequence_length == 0) padded_from_ = t;
    batch_.tokens.push_back(token);
    batch_.positions.push_back(static_cast<int32_t>(t - padded_from_));
    batch_.document_start.push_back(static_cast<int32_t>(padded_from_));
    for (auto& column : batch_.targets) column.push_back(-1);
    batch_.loss_weights.push_back(0.0f);
  }
  while (static_cast<int64_t>(batch_.sample_ids.size()) < batch_.num_sequences) batch_.sample_ids.push_back(-1);
}

Batch BatchBuilder::finish() {
  BK_ASSERT(static_cast<int64_t>(batch_.tokens.size()) == batch_.num_tokens());
  BK_ASSERT(static_cast<int64_t>(batch_.sample_ids.size()) == batch_.num_sequences);
  return std::move(batch_);
}

}  // namespace birkhoff

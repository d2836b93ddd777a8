#include "trainer/step/device_batch.h"

#include <algorithm>

#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/host_values.h"

namespace birkhoff {
namespace {

Tensor upload_i32(Stream& stream, Arena& arena, const std::vector<int32_t>& values, Shape shape) {
  const Tensor t = arena.take(DType::i32, shape);
  from_host(stream, t, values.data());
  return t;
}

// The offset of the first token of every document, followed by the end of the last document.
std::vector<int32_t> document_offsets(const Batch& b) {
  std::vector<int32_t> offsets;
  const auto T = static_cast<int32_t>(b.num_tokens());
  for (int32_t t = 0; t < T; ++t) {
    if (b.document_start[static_cast<size_t>(t)] == t) offsets.push_back(t);
  }
  offsets.push_back(T);
  return offsets;
}

// For each token, the token d ahead of it. If that token is not in the same document and sequence, uses the target
// instead, or 0 if there is no target.
std::vector<int32_t> tokens_ahead(const Batch& b, int64_t d, const TokenSplit& split) {
  const int64_t run = std::max<int64_t>(split.own(b.num_tokens()).count, 1);
  const std::vector<int32_t>& target = b.targets[static_cast<size_t>(d - 1)];
  std::vector<int32_t> out(b.tokens.size());
  for (int64_t t = 0; t < b.num_tokens(); ++t) {
    const size_t i = static_cast<size_t>(t), ahead = static_cast<size_t>(t + d);
    const bool inside =
        (t % b.sequence_length) + d < b.sequence_length && b.document_start[ahead] == b.document_start[i];
    out[i] = inside ? b.tokens[ahead] : std::max(target[i], 0);
    if (BK_DEFECT("D9 shift after slicing") && t / run != (t + d) / run) out[i] = 0;
  }
  return out;
}

Tensor loss_weights(Stream& stream, Arena& arena, const Batch& b, size_t depth, double weight) {
  std::vector<double> values(b.tokens.size());
  for (size_t t = 0; t < values.size(); ++t) {
    const double own = depth == 0 ? static_cast<double>(b.loss_weights[t]) : 1.0;
    values[t] = b.targets[depth][t] < 0 ? 0.0 : weight * own;
  }
  const Tensor out = arena.take(DType::f32, {b.num_tokens()});
  write_values(stream, out, values);
  return out;
}

// For the tokens of the halo and then own tokens: the first token of the document, counted within these tokens. A token
// of the halo that lies before the first of the microbatch is a document of its own.
Tensor upload_halo_starts(Stream& stream, Arena& arena, const Batch& b, const TokenSplit& split) {
  const TokenRun own = split.own(b.num_tokens());
  const int64_t first = own.begin - split.halo;
  std::vector<int32_t> starts;
  for (int64_t t = first; t < own.begin + own.count; ++t) {
    const int64_t start = t < 0 ? t : b.document_start[static_cast<size_t>(t)];
    starts.push_back(static_cast<int32_t>(std::max<int64_t>(start - first, 0)));
  }
  return upload_i32(stream, arena, starts, {static_cast<int64_t>(starts.size())});
}

}  // namespace

std::vector<double> depth_weights(const MtpOptions& mtp) {
  const double mtp_weight = mtp.weight / std::max(1.0, static_cast<double>(mtp.depth));
  std::vector<double> weights(static_cast<size_t>(1 + mtp.depth), mtp_weight);
  weights[0] = 1;
  return weights;
}

Normalizers count_targets(Communicator& batch_group, const StepBatch& batch, size_t num_depths) {
  std::vector<double> counts(num_depths + 1, 0.0);
  for (size_t d = 0; d < num_depths; ++d) counts[d] = static_cast<double>(batch.local_targets.at(d));
  for (const Batch& b : batch.microbatches) counts.back() += static_cast<double>(b.num_sequences);
  if (!BK_DEFECT("D8 targets of the rank")) all_reduce_on_host(batch_group, std::span(counts));
  Normalizers n;
  n.sequences = counts.back();
  counts.pop_back();
  n.targets = std::move(counts);
  return n;
}

BatchView upload(Stream& stream, Arena& arena, const Batch& b, const Normalizers& n,
                 const std::vector<double>& depth_weights, const TokenSplit& split) {
  const int64_t T = b.num_tokens();
  BK_ASSERT(b.sequence_length % split.size == 0, split.size, " ranks divide sequences of ", b.sequence_length);
  BatchView v;
  v.sequences = b.num_sequences;
  v.length = b.sequence_length;
  v.sequence_weight = 1 / std::max(1.0, n.sequences);
  v.tokens = upload_i32(stream, arena, b.tokens, {T});
  v.positions = upload_i32(stream, arena, b.positions, {T});
  v.document_start = upload_i32(stream, arena, b.document_start, {T});
  v.document_offsets = document_offsets(b);
  v.own = split.own(T);
  v.halo_document_start = v.document_start;
  if (split.divides()) v.halo_document_start = upload_halo_starts(stream, arena, b, split);
  if (!b.token_mask.empty()) {
    BK_ASSERT(static_cast<int64_t>(b.token_mask.size()) == T, "a mask of ", b.token_mask.size(), " tokens for ", T);
    v.token_mask = arena.take(DType::u8, {T});
    from_host(stream, v.token_mask, b.token_mask.data());
  }
  for (size_t d = 0; d < depth_weights.size(); ++d) {
    const size_t counted = BK_DEFECT("D9 targets of depth 0") && split.divides() ? 0 : d;
    v.targets.push_back(upload_i32(stream, arena, b.targets.at(d), {T}));
    v.loss_weights.push_back(
        loss_weights(stream, arena, b, d, depth_weights[d] / std::max(1.0, n.targets.at(counted))));
    if (d > 0) v.next_tokens.push_back(upload_i32(stream, arena, tokens_ahead(b, static_cast<int64_t>(d), split), {T}));
  }
  for (const auto& index : b.engram_index) {
    v.engram_index.push_back(upload_i32(stream, arena, index, {static_cast<int64_t>(index.size())}));
  }
  return v;
}

}  // namespace birkhoff

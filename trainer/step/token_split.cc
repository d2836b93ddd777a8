#include "trainer/step/token_split.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "kernels/core/hash.h"
#include "kernels/core/seeded_defect.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"

namespace birkhoff {
namespace {

// Copies `values`, `each` for every token, and appends `pads` tokens with the value `pad` to every sequence.
template <class T>
std::vector<T> padded_values(const std::vector<T>& values, const Batch& b, int64_t pads, T pad, int64_t each = 1) {
  const auto length = static_cast<size_t>(b.sequence_length * each), more = static_cast<size_t>(pads * each);
  std::vector<T> out;
  out.reserve(static_cast<size_t>(b.num_sequences) * (length + more));
  for (size_t begin = 0; begin < values.size(); begin += length) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(begin);
    out.insert(out.end(), first, first + static_cast<std::ptrdiff_t>(length));
    out.insert(out.end(), more, pad);
  }
  return out;
}

std::vector<int32_t> padded_document_starts(const Batch& b, int64_t pads) {
  std::vector<int32_t> out;
  for (int64_t q = 0; q < b.num_sequences; ++q) {
    const auto shift = static_cast<int32_t>(q * pads);
    for (int64_t i = 0; i < b.sequence_length; ++i) {
      out.push_back(b.document_start[static_cast<size_t>(q * b.sequence_length + i)] + shift);
    }
    for (int64_t i = 0; i < pads; ++i) out.push_back(static_cast<int32_t>(out.size()));
  }
  return out;
}

// The index of padding is -1, which renumber() replaces.
Batch padded(const Batch& b, int64_t pads) {
  Batch out = b;
  if (pads == 0) return out;
  out.sequence_length += pads;
  out.tokens = padded_values(b.tokens, b, pads, 0);
  out.positions = padded_values(b.positions, b, pads, 0);
  out.document_start = padded_document_starts(b, pads);
  for (std::vector<int32_t>& targets : out.targets) targets = padded_values(targets, b, pads, -1);
  out.loss_weights = padded_values(b.loss_weights, b, pads, 0.0f);
  const std::vector<uint8_t> every(b.tokens.size(), 1);
  out.token_mask = padded_values(b.token_mask.empty() ? every : b.token_mask, b, pads, uint8_t{0});
  for (std::vector<int32_t>& index : out.engram_index) {
    const auto each = static_cast<int64_t>(index.size()) / std::max<int64_t>(b.num_tokens(), 1);
    index = padded_values(index, b, pads, -1, each);
  }
  return out;
}

// Keeps the index of own tokens alone.
void keep_own(Batch& b, const TokenSplit& split) {
  const TokenRun own = split.own(b.num_tokens());
  for (std::vector<int32_t>& index : b.engram_index) {
    const auto each = static_cast<int64_t>(index.size()) / std::max<int64_t>(b.num_tokens(), 1);
    const auto first = index.begin() + own.begin * each;
    // As if the first token of a run were that of a document, before which the n-grams of Engram see nothing.
    if (BK_DEFECT("D15 look-back cut") && own.count > 0) std::copy_n(index.begin(), each, first);
    index = std::vector<int32_t>(first, first + own.count * each);
  }
}

// Drops the rows of a layer that no token looks up any more, and numbers the others in their order.
void renumber(StepBatch& step, size_t layer) {
  std::vector<int64_t>& rows = step.engram_rows[layer];
  std::vector<int32_t> number(rows.size(), -1);
  for (const Batch& b : step.microbatches) {
    for (const int32_t row : b.engram_index[layer]) {
      if (row >= 0) number[static_cast<size_t>(row)] = 0;
    }
  }
  std::vector<int64_t> kept;
  for (size_t row = 0; row < rows.size(); ++row) {
    if (number[row] < 0) continue;
    number[row] = static_cast<int32_t>(kept.size());
    kept.push_back(rows[row]);
  }
  if (BK_DEFECT("D20 padding touches a row")) {
    // A row behind those of own tokens that no token of the step looks up.
    int64_t row = kept.empty() ? 0 : kept.back() + 1;
    while (std::binary_search(rows.begin(), rows.end(), row)) ++row;
    kept.push_back(row);
  }
  for (Batch& b : step.microbatches) {
    for (int32_t& row : b.engram_index[layer]) {
      row = row < 0 ? static_cast<int32_t>(kept.size()) : number[static_cast<size_t>(row)];
    }
  }
  rows = std::move(kept);
}

template <class T>
void add(Hasher& hash, const std::vector<T>& values) {
  const uint64_t size = values.size();
  hash.update(&size, sizeof(size)).update(values.data(), values.size() * sizeof(T));
}

// A digest of sequence q of a microbatch.
uint64_t digest_of(const Batch& b, int64_t q) {
  Hasher hash;
  const auto add_part = [&](const auto& values) {
    if (values.empty()) return;
    const size_t each = values.size() / static_cast<size_t>(b.num_sequences);
    hash.update(values.data() + static_cast<size_t>(q) * each, each * sizeof(values[0]));
  };
  add_part(b.tokens);
  add_part(b.positions);
  add_part(b.document_start);
  for (const auto& targets : b.targets) add_part(targets);
  add_part(b.loss_weights);
  add_part(b.token_mask);
  add_part(b.sample_ids);
  return hash.digest();
}

std::vector<int64_t> digests_of(const StepBatch& step) {
  std::vector<int64_t> digests;
  for (const Batch& b : step.microbatches) {
    for (int64_t q = 0; q < b.num_sequences; ++q) digests.push_back(static_cast<int64_t>(digest_of(b, q)));
  }
  return digests;
}

std::vector<int64_t> samples_of(const StepBatch& step) {
  std::vector<int64_t> samples;
  for (const Batch& b : step.microbatches) {
    samples.insert(samples.end(), b.sample_ids.begin(), b.sample_ids.end());
    if (b.sample_ids.empty()) samples.insert(samples.end(), static_cast<size_t>(b.num_sequences), -1);
  }
  return samples;
}

}  // namespace

StepBatch divided(const StepBatch& step, const TokenSplit& split) {
  StepBatch out = step;
  for (Batch& b : out.microbatches) {
    b = padded(b, split.padded(b.sequence_length) - b.sequence_length);
    keep_own(b, split);
  }
  for (size_t layer = 0; layer < out.engram_rows.size(); ++layer) renumber(out, layer);
  return out;
}

void require_same_batch(Communicator& group, const StepBatch& step) {
  const std::vector<int64_t> digests = digests_of(step), samples = samples_of(step);
  Hasher all;
  add(all, digests);
  const std::vector<int64_t> totals = all_gather_on_host(group, static_cast<int64_t>(all.digest()));
  const auto other = std::find_if(totals.begin(), totals.end(), [&](int64_t d) { return d != totals.front(); });
  if (other == totals.end()) return;
  // Every rank has seen the same totals, so all of them go on here.
  const auto rank = static_cast<size_t>(other - totals.begin());
  const std::vector<int64_t> counts = all_gather_on_host(group, static_cast<int64_t>(digests.size()));
  const std::vector<int64_t> every = all_gather_v_on_host(group, std::span<const int64_t>(digests), counts);
  const std::vector<int64_t> every_sample = all_gather_v_on_host(group, std::span<const int64_t>(samples), counts);
  int64_t begin = 0;
  for (size_t r = 0; r < rank; ++r) begin += counts[r];
  int64_t at = 0;
  while (at < std::min(counts[0], counts[rank]) &&
         every[static_cast<size_t>(at)] == every[static_cast<size_t>(begin + at)]) {
    ++at;
  }
  const std::string where =
      at < std::min(counts[0], counts[rank])
          ? concat("sequence ", at, " of the step, sample ", every_sample[static_cast<size_t>(at)])
          : concat("its number of sequences, ", counts[rank], " instead of ", counts[0]);
  throw_on_all(concat("ranks of the group ", group.name(), " must read the same batch, but rank ",
                      group.world_rank(static_cast<int>(rank)), " has another one than rank ", group.world_rank(0),
                      ": ", where, "; check that all ranks see the same data, then resume"));
}

}  // namespace birkhoff

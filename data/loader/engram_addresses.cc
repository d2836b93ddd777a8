#include "data/loader/engram_addresses.h"

#include <algorithm>
#include <span>
#include <utility>

#include "kernels/core/error.h"

namespace birkhoff {

EngramAddresses::EngramAddresses(EngramHashSpec spec, std::vector<int32_t> compression)
    : hash_(std::move(spec)), compression_(std::move(compression)) {
  const int64_t limit = hash_.spec().compressed_vocab;
  for (size_t id = 0; id < compression_.size(); ++id)
    BK_CHECK(compression_[id] >= 0 && compression_[id] < limit, "token compression maps id ", id, " to ",
             compression_[id], ", outside the compressed vocabulary of ", limit);
}

void deduplicate_rows(const std::vector<int64_t>& rows, std::vector<int64_t>& unique, std::vector<int32_t>& index) {
  std::vector<std::pair<int64_t, int32_t>> order(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) order[i] = {rows[i], static_cast<int32_t>(i)};
  // Sorting (row, position) brings equal rows together and keeps their positions.
  std::sort(order.begin(), order.end());
  unique.clear();
  index.resize(rows.size());
  for (const auto& entry : order) {
    if (unique.empty() || unique.back() != entry.first) unique.push_back(entry.first);
    index[static_cast<size_t>(entry.second)] = static_cast<int32_t>(unique.size()) - 1;
  }
}

void EngramAddresses::fill(StepBatch& step) const {
  const size_t sites = hash_.spec().layers.size();
  const auto K = static_cast<size_t>(hash_.num_columns());
  step.engram_rows.assign(sites, {});
  std::vector<std::vector<int32_t>> compressed;
  size_t tokens = 0;
  for (Batch& batch : step.microbatches) {
    batch.engram_index.assign(sites, {});
    tokens += batch.tokens.size();
    auto& ids = compressed.emplace_back(batch.tokens.size());
    std::transform(batch.tokens.begin(), batch.tokens.end(), ids.begin(),
                   [&](int32_t token) { return compression_[static_cast<size_t>(token)]; });
  }
  // Rows are deduplicated over all microbatches of the step, so that each row is fetched and updated once per step.
  std::vector<int64_t> rows(tokens * K);
  std::vector<int32_t> index;
  for (size_t site = 0; site < sites; ++site) {
    size_t at = 0;
    for (size_t m = 0; m < step.microbatches.size(); ++m) {
      const size_t count = compressed[m].size() * K;
      hash_.row_ids(static_cast<int64_t>(site), compressed[m], step.microbatches[m].document_start,
                    std::span(rows).subspan(at, count));
      at += count;
    }
    deduplicate_rows(rows, step.engram_rows[site], index);
    auto from = index.begin();
    for (Batch& batch : step.microbatches) {
      const auto to = from + static_cast<int64_t>(batch.tokens.size() * K);
      batch.engram_index[site].assign(from, to);
      from = to;
    }
  }
}

}  // namespace birkhoff

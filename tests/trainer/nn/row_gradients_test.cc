// The order in which gradients of a row are summed if several ranks touched it.
#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/threads/run_ranks.h"
#include "trainer/nn/row_store.h"

namespace birkhoff {
namespace {

constexpr int64_t kRows = 11, kWidth = 3, kSamples = 24;

// The rows that a sample touches, one of them twice, and what it adds to each.
std::vector<int64_t> rows_of_sample(int64_t sample) { return {sample % 4, (3 * sample) % kRows, 5, sample % 4}; }
float contribution(int64_t sample, size_t position, int64_t column) {
  return static_cast<float>(Philox(7, static_cast<uint64_t>(sample))
                                .normal(position * static_cast<size_t>(kWidth) + static_cast<size_t>(column)));
}

struct Sums {
  std::vector<float> value = std::vector<float>(kRows * kWidth, 0.0f);
  std::vector<double> size = std::vector<double>(kRows * kWidth, 0.0);  // sum of |contribution|
  std::vector<int64_t> count = std::vector<int64_t>(kRows, 0);
};

// Sums over samples [begin, end) in the order of (sample, position), as a rank computes them.
Sums sums_of(int64_t begin, int64_t end) {
  Sums s;
  for (int64_t sample = begin; sample < end; ++sample) {
    const std::vector<int64_t> rows = rows_of_sample(sample);
    for (size_t p = 0; p < rows.size(); ++p) {
      ++s.count[static_cast<size_t>(rows[p])];
      for (int64_t c = 0; c < kWidth; ++c) {
        const auto at = static_cast<size_t>(rows[p] * kWidth + c);
        s.value[at] += contribution(sample, p, c);
        s.size[at] += std::abs(static_cast<double>(contribution(sample, p, c)));
      }
    }
  }
  return s;
}

// The gradient of the whole table, collected from the ranks that hold its rows.
std::vector<float> gradient_on(int ranks) {
  std::vector<float> whole(kRows * kWidth, 0.0f);
  run_ranks(ranks, [&](Communicator& comm) {
    Stream stream;
    ShardedRowStore store({}, comm, "table", kRows, kWidth);
    const int64_t each = kSamples / comm.size();
    const Sums mine = sums_of(comm.rank() * each, (comm.rank() + 1) * each);
    std::vector<int64_t> rows;
    std::vector<float> values;
    for (int64_t row = 0; row < kRows; ++row) {
      if (mine.count[static_cast<size_t>(row)] == 0) continue;
      rows.push_back(row);
      values.insert(values.end(), mine.value.begin() + row * kWidth, mine.value.begin() + (row + 1) * kWidth);
    }
    store.add_gradients(stream, rows, {values.data(), DType::f32, {static_cast<int64_t>(rows.size()), kWidth}});
    const ShardedRowStore::Gradient& g = store.gradient();
    for (int64_t i = 0; i < g.rows.count(); ++i) {
      const int64_t row = static_cast<const int64_t*>(g.rows.data)[i];
      EXPECT_GE(row, store.first_row());
      for (int64_t c = 0; c < kWidth; ++c) {
        whole[static_cast<size_t>(row * kWidth + c)] = static_cast<const float*>(g.values.data)[i * kWidth + c];
      }
    }
  });
  return whole;
}

TEST(RowGradients, SumsDuplicatesInSampleOrderOnOneRank) { EXPECT_EQ(gradient_on(1), sums_of(0, kSamples).value); }

TEST(RowGradients, AddsThePartialSumsOfSeveralRanksInRankOrder) {
  for (int64_t ranks : {2, 3, 4}) {
    std::vector<float> expected(kRows * kWidth, 0.0f);
    for (int64_t r = 0; r < ranks; ++r) {
      const Sums part = sums_of(r * kSamples / ranks, (r + 1) * kSamples / ranks);
      for (size_t i = 0; i < expected.size(); ++i) expected[i] += part.value[i];
    }
    EXPECT_EQ(gradient_on(static_cast<int>(ranks)), expected);
  }
}

TEST(RowGradients, SumsOfSeveralRanksDifferFromOneByRoundingOnly) {
  const Sums all = sums_of(0, kSamples);
  bool differ = false;
  for (int ranks : {2, 3, 4}) {
    const std::vector<float> sums = gradient_on(ranks);
    for (size_t i = 0; i < sums.size(); ++i) {
      const auto terms = static_cast<double>(all.count[i / kWidth]);
      EXPECT_LE(std::abs(static_cast<double>(sums[i]) - all.value[i]), terms * 0x1p-23 * all.size[i]);
      differ = differ || sums[i] != all.value[i];
    }
  }
  EXPECT_TRUE(differ) << "the case tests nothing";
}

}  // namespace
}  // namespace birkhoff

#include "trainer/nn/row_store.h"

#include <map>

#include <gmock/gmock.h>

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/random.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/host_stream.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

constexpr int64_t kWidth = 3;

// Two of every three rows of the table, a different set for each rank, so that ranks share many rows. The last of
// several ranks wants none.
std::vector<int64_t> rows_of(int rank, int ranks, int64_t num_rows) {
  std::vector<int64_t> rows;
  if (ranks > 1 && rank == ranks - 1) return rows;
  for (int64_t row = 0; row < num_rows; ++row) {
    if ((row + rank) % 3 != 1) rows.push_back(row);
  }
  return rows;
}

double gradient_of(int rank, int64_t row, int64_t column) {
  return static_cast<double>(100 * row + 10 * column + rank + 1);
}

class RowStoreOnRanks : public testing::TestWithParam<std::tuple<int, int64_t>> {};
// With two or seven rows on five ranks, some ranks hold no row.
INSTANTIATE_TEST_SUITE_P(Sizes, RowStoreOnRanks,
                         testing::Combine(testing::Values(1, 2, 3, 5), testing::Values(2, 7, 40)));

TEST_P(RowStoreOnRanks, FetchesTheRowsOfTheWholeTable) {
  const auto [ranks, num_rows] = GetParam();
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    run_ranks(ranks, [kind, rows_in_table = num_rows](Communicator& comm) {
      Stream stream{Device{kind}};
      Arena arena{stream.device};
      ShardedRowStore store(stream.device, comm, "table", rows_in_table, kWidth);
      store.initialize(stream, 5, 0.5);
      const Tensor whole = arena.take(DType::f32, {rows_in_table, kWidth});
      fill_normal(stream, {whole, 5, key_of("table"), 0, 0.5});
      const auto expected = values_of(whole);
      for (int time = 0; time < 2; ++time) {
        const auto rows = rows_of(comm.rank() + time, comm.size() + time, rows_in_table);
        const Tensor out = arena.take(DType::f32, {static_cast<int64_t>(rows.size()), kWidth});
        store.fetch(stream, rows, out);
        const auto values = values_of(out);
        for (size_t i = 0; i < values.size(); ++i) {
          const auto at = static_cast<size_t>(rows[i / kWidth] * kWidth) + i % kWidth;
          EXPECT_EQ(values[i], expected[at]) << "row " << rows[i / kWidth];
        }
      }
    });
  }
}

TEST_P(RowStoreOnRanks, SumsTheRowsThatSeveralRanksTouched) {
  const auto [ranks, num_rows] = GetParam();
  run_ranks(ranks, [rows_in_table = num_rows](Communicator& comm) {
    Stream stream{Device{}};
    Arena arena{stream.device};
    ShardedRowStore store(stream.device, comm, "table", rows_in_table, kWidth);
    for (int time = 0; time < 2; ++time) {  // the second step must not add to the gradient of the first
      const auto rows = rows_of(comm.rank(), comm.size(), rows_in_table);
      const Tensor values = arena.take(DType::f32, {static_cast<int64_t>(rows.size()), kWidth});
      std::vector<double> mine;
      for (int64_t row : rows) {
        for (int64_t c = 0; c < kWidth; ++c) mine.push_back(gradient_of(comm.rank(), row, c));
      }
      set_values(values, mine);
      store.add_gradients(stream, rows, values);
    }
    std::map<int64_t, std::vector<double>> sums;
    for (int rank = 0; rank < comm.size(); ++rank) {
      for (int64_t row : rows_of(rank, comm.size(), rows_in_table)) {
        if (row < store.first_row() || row >= store.first_row() + store.local_values().shape[0]) continue;
        auto& sum = sums.try_emplace(row, std::vector<double>(kWidth)).first->second;
        for (int64_t c = 0; c < kWidth; ++c) sum[static_cast<size_t>(c)] += gradient_of(rank, row, c);
      }
    }
    std::vector<double> rows, values;
    for (const auto& [row, sum] : sums) {
      rows.push_back(static_cast<double>(row));
      values.insert(values.end(), sum.begin(), sum.end());
    }
    EXPECT_EQ(values_of(store.gradient().rows), rows);
    EXPECT_EQ(values_of(store.gradient().values), values);
  });
}

struct Slices final : StateVisitor {
  void replicated(const std::string&, Tensor, const Slice&, const Communicator&) override { FAIL(); }
  void shard(const std::string& called, Tensor local, const Slice& part) override {
    name = called;
    slice = part;
    EXPECT_EQ(local.count(), part.count());
  }
  void integer(const std::string&, int64_t&) override { FAIL(); }
  void real(const std::string&, double&) override { FAIL(); }
  void text(const std::string&, std::string&) override { FAIL(); }
  std::string name;
  Slice slice;
};

TEST_P(RowStoreOnRanks, SavesEveryRowOnce) {
  const auto [ranks, num_rows] = GetParam();
  run_ranks(ranks, [rows_in_table = num_rows](Communicator& comm) {
    ShardedRowStore store(Device{}, comm, "table", rows_in_table, kWidth);
    Slices seen;
    store.state(seen);
    EXPECT_EQ(seen.name, "model.table");
    EXPECT_EQ(seen.slice.global, (Shape{rows_in_table, kWidth}));
    std::vector<int64_t> ends(static_cast<size_t>(2 * comm.size()), 0);
    ends[static_cast<size_t>(2 * comm.rank())] = seen.slice.boxes[0].begin[0];
    ends[static_cast<size_t>(2 * comm.rank() + 1)] = seen.slice.boxes[0].begin[0] + seen.slice.boxes[0].extent[0];
    wait_on_host(comm.all_reduce(host_stream(), {ends.data(), DType::i64, {static_cast<int64_t>(ends.size())}}));
    EXPECT_EQ(ends.front(), 0);
    EXPECT_EQ(ends.back(), rows_in_table);
    EXPECT_EQ(seen.slice.boxes[0].extent[1], kWidth);
    for (size_t i = 1; i + 1 < ends.size(); i += 2) EXPECT_EQ(ends[i], ends[i + 1]);
  });
}

}  // namespace
}  // namespace birkhoff::test

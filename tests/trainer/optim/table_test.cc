#include <map>
#include <mutex>

#include <gtest/gtest.h>

#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/op_case.h"
#include "trainer/optim/optimizer.h"

namespace birkhoff::test {
namespace {

constexpr int64_t kWidth = 3;
constexpr int kSteps = 3;

// Gradient rows of a step, numbered in the whole table: a random 40 percent of all rows.
struct Rows {
  std::vector<int64_t> numbers;
  std::vector<float> values;
};
Rows gradient_rows(int64_t rows, int step) {
  const Philox random(7, static_cast<uint64_t>(step));
  Rows r;
  for (int64_t row = 0; row < rows; ++row) {
    if (random.uniform(static_cast<uint64_t>(row)) < 0.6) continue;
    r.numbers.push_back(row);
    for (int64_t i = 0; i < kWidth; ++i)
      r.values.push_back(static_cast<float>(random.normal(static_cast<uint64_t>(1000 + row * kWidth + i))));
  }
  return r;
}

// Trains a table that is the part [first, first + rows) of a table of `all` rows, for which the gradients are drawn.
// Returns this rank's values after kSteps.
std::vector<double> train(Communicator& comm, int64_t first, int64_t rows, int64_t all,
                          const std::vector<int64_t>& matrix_begins = {0}) {
  Stream stream;
  ShardedRowStore table({}, comm, "t", rows, kWidth);
  fill_zero(stream, table.local_values());
  TableOptimizer optimizer({}, table, {}, {}, matrix_begins);
  for (int step = 0; step < kSteps; ++step) {
    const Rows whole = gradient_rows(all, step);
    Rows mine;
    for (size_t i = 0; comm.rank() == 0 && i < whole.numbers.size(); ++i) {
      const int64_t row = whole.numbers[i] - first;
      if (row < 0 || row >= rows) continue;
      mine.numbers.push_back(row);
      for (int64_t k = 0; k < kWidth; ++k) mine.values.push_back(whole.values[i * kWidth + static_cast<size_t>(k)]);
    }
    table.add_gradients(stream, mine.numbers,
                        {mine.values.data(), DType::f32, {static_cast<int64_t>(mine.numbers.size()), kWidth}});
    optimizer.step(stream, {0.01, 1, step + 1});
  }
  return read_values(stream, table.local_values());
}

// One step of an update, with options that are not the defaults, and the same by the kernel itself.
TEST(TableOptimizer, GivesTheKernelsItsOptions) {
  constexpr int64_t kRows = 8;
  OptimizerOptions options;
  options.adamw = {.beta1 = 0.5, .beta2 = 0.75, .eps = 0.25, .weight_decay = 0.5};
  options.engram.learning_rate_multiplier = 3;
  options.engram.beta = 0.6;
  options.engram.gamma = 0.3;
  options.engram.tau = 0.2;
  options.engram.iterations = 3;
  options.engram.eps = 1e-3;
  for (const TableUpdate update : {TableUpdate::balanced, TableUpdate::sparse_adamw}) {
    options.engram.update = update;
    run_ranks(1, [&](Communicator& comm) {
      Stream stream;
      ShardedRowStore table({}, comm, "t", kRows, kWidth);
      fill_zero(stream, table.local_values());
      TableOptimizer optimizer({}, table, options);
      Rows r = gradient_rows(kRows, 0);
      table.add_gradients(stream, r.numbers,
                          {r.values.data(), DType::f32, {static_cast<int64_t>(r.numbers.size()), kWidth}});
      optimizer.step(stream, {.learning_rate = 0.01, .grad_scale = 0.5, .step = 2});
      Arena memory{Device{}}, workspace{Device{}};
      Tensor state[3];  // weights, moments
      for (Tensor& t : state) {
        t = memory.take(DType::f32, {kRows, kWidth});
        fill_zero(stream, t);
      }
      if (update == TableUpdate::balanced) {
        sinkhorn_balanced(
            stream, workspace,
            {.weight = state[0],
             .momentum = state[1],
             .weight_copy = {},
             .grad = table.gradient().values,
             .rows = table.gradient().rows,
             .first_row = 0,
             .hyper =
                 {.learning_rate = 0.03, .momentum = 0.6, .gamma = 0.3, .threshold = 0.2, .eps = 1e-3, .iterations = 3},
             .num_rows = kRows,
             .all_reduce = {}});
      } else {
        adamw_rows(stream, {.weight = state[0],
                            .m = state[1],
                            .v = state[2],
                            .weight_copy = {},
                            .grad = table.gradient().values,
                            .rows = table.gradient().rows,
                            .first_row = 0,
                            .hyper = {.learning_rate = 0.03,
                                      .beta1 = 0.5,
                                      .beta2 = 0.75,
                                      .eps = 0.25,
                                      .weight_decay = 0,
                                      .grad_scale = 0.5,
                                      .step = 2}});
      }
      const auto expected = read_values(stream, state[0]);
      EXPECT_EQ(read_values(stream, table.local_values()), expected);
      EXPECT_NE(expected, std::vector<double>(expected.size(), 0.0));
    });
  }
}

class Granularity : public ::testing::TestWithParam<int> {};

// With one matrix per head, each segment of the table is updated as if it were a table of its own. The table is divided
// over ranks, and some borders between ranks lie inside a segment.
TEST_P(Granularity, OfAHeadIsThatOfATableOfItsOwn) {
  const std::vector<int64_t> begins{0, 7, 18}, ends{7, 18, 29};
  std::vector<double> apart;
  run_ranks(1, [&](Communicator& comm) {
    for (size_t m = 0; m < begins.size(); ++m) {
      const auto values = train(comm, begins[m], ends[m] - begins[m], 29);
      apart.insert(apart.end(), values.begin(), values.end());
    }
  });
  std::map<int, std::vector<double>> together, one_matrix;
  std::mutex mutex;
  run_ranks(GetParam(), [&](Communicator& comm) {
    const auto by_head = train(comm, 0, 29, 29, begins), by_table = train(comm, 0, 29, 29);
    const std::lock_guard lock(mutex);
    together[comm.rank()] = by_head;
    one_matrix[comm.rank()] = by_table;
  });
  const auto joined = [](const std::map<int, std::vector<double>>& parts) {
    std::vector<double> all;
    for (const auto& part : parts) all.insert(all.end(), part.second.begin(), part.second.end());
    return all;
  };
  EXPECT_LE(scaled_error(joined(together), apart), 1e-6);
  EXPECT_GT(scaled_error(joined(one_matrix), apart), 1e-2) << "one matrix is another update";
}

INSTANTIATE_TEST_SUITE_P(Ranks, Granularity, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace birkhoff::test

// The protocol of shared memory between processes, run by threads so that the sanitizers see it.
#include "parallel/comm/memory_exchange.h"

#include <algorithm>
#include <array>
#include <functional>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/collective_queue.h"

namespace birkhoff {
namespace {

void on_board(const Board& board, const std::function<void(CollectiveQueue&, int)>& body) {
  std::vector<std::thread> threads;
  for (int r = 0; r < board.ranks(); ++r) {
    threads.emplace_back([&board, &body, r] {
      const auto queue = std::make_shared<CollectiveQueue>(std::make_shared<Engine>(),
                                                           make_flat_carrier(make_memory_exchange(board, r)), "board");
      body(*queue, r);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(StagedBoard, CarriesOperationsOfManyRounds) {
  static constexpr int64_t kCount = Board::kArea_bytes;  // 4 bytes each: many areas
  const Board board = make_heap_board(3, BlockPath::staged);
  on_board(board, [](CollectiveQueue& queue, int rank) {
    for (int repetition = 0; repetition < 3; ++repetition) {
      std::vector<int32_t> v(kCount, rank + repetition);
      const Tensor t{v.data(), DType::i32, {kCount}};
      wait_on_host(queue.start({.op = Op::all_reduce, .out = t, .in = t}));
      EXPECT_EQ(std::count(v.begin(), v.end(), 3 + 3 * repetition), kCount);
      v.assign(v.size(), rank);
      wait_on_host(queue.start({.op = Op::broadcast, .out = t, .in = t, .peer = 2}));
      EXPECT_EQ(std::count(v.begin(), v.end(), 2), kCount);
    }
  });
}

TEST(StagedBoard, AFailureReachesEveryRank) {
  const Board board = make_heap_board(3, BlockPath::staged);
  on_board(board, [](CollectiveQueue& queue, int rank) {
    std::array<int32_t, 4> v{};
    const Tensor t{v.data(), DType::i32, {4}};
    if (rank == 1) return queue.fail("rank 1 is broken");
    try {
      wait_on_host(queue.start({.op = Op::all_reduce, .out = t, .in = t}));
      ADD_FAILURE() << "the failure went unseen";
    } catch (const CommError& e) {
      EXPECT_STREQ(e.what(), "rank 1 is broken");
    }
  });
}

}  // namespace
}  // namespace birkhoff

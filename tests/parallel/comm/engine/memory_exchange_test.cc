// The protocol of shared memory between processes, run by threads so that the sanitizers see it.
#include "parallel/comm/engine/memory_exchange.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/engine/collective_queue.h"

namespace birkhoff {
namespace {

void on_board(const Board& board, const std::function<void(CollectiveQueue&, int)>& body) {
  std::vector<std::thread> threads;
  for (int r = 0; r < board.ranks(); ++r) {
    threads.emplace_back([&board, &body, r] {
      const auto queue = std::make_shared<CollectiveQueue>(
          std::make_shared<Engine>(), make_flat_carrier(make_memory_exchange(board, r), names_of_world(board.ranks())));
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

// If other programs want the cores, a waiting rank must not hold one: neither while it waits for a peer, nor while the
// message of a failure is being written.
TEST(Board, LetsWaitingRanksSleep) {
  const auto processor_ms = [](const std::function<void()>& wait) {
    timespec begin{}, end{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    wait();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    return 1e3 * double(end.tv_sec - begin.tv_sec) + 1e-6 * double(end.tv_nsec - begin.tv_nsec);
  };
  const auto later = [](const std::function<void()>& body) {
    return std::thread([body] {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      body();
    });
  };
  // The first word of the board is 1 while the message of a failure is being written.
  const auto memory = std::shared_ptr<std::byte>(new std::byte[Board::bytes_for(2, BlockPath::direct) + 64]{},
                                                 std::default_delete<std::byte[]>());
  auto* aligned = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(memory.get()) + 63) / 64 * 64);
  const Board board({memory, aligned}, 2, BlockPath::direct);
  std::atomic_ref<int> failed(*reinterpret_cast<int*>(aligned));
  failed = 1;
  std::thread writer = later([&] { failed = 2; });
  EXPECT_LT(processor_ms([&] { EXPECT_THROW(board.throw_if_failed(), CommError); }), 100);
  writer.join();
  failed = 0;
  // A rank that fails waits for a peer that reads its memory.
  const auto reader = make_memory_exchange(board, 1), failing = make_memory_exchange(board, 0);
  reader->post({});
  failing->post({});
  EXPECT_TRUE(reader->arrived());
  std::thread end = later([&] { reader->release(); });
  EXPECT_LT(processor_ms([&] { failing->fail("rank 0 is broken"); }), 100);
  end.join();
}

// A rank that has joined an operation may stop before it has read what the others give it.
TEST(Board, NamesTheRankThatHasJoinedAndStillReads) {
  const Board board = make_heap_board(2, BlockPath::direct);
  std::vector<int32_t> own{1, 0}, other{0, 2};
  const Operation first{.op = Op::all_gather_v,
                        .out = {own.data(), DType::i32, {2}},
                        .in = {own.data(), DType::i32, {1}},
                        .out_counts = {1, 1}};
  const auto queue = std::make_shared<CollectiveQueue>(
      std::make_shared<Engine>(), make_flat_carrier(make_memory_exchange(board, 0), {"tp", {4, 5}}));
  const auto peer = make_memory_exchange(board, 1);
  const auto pending = queue->start(first);
  EXPECT_EQ(queue->waiting_for().text, "operation 0 of group tp, all_gather_v of 2 i32, missing rank 5");
  peer->offer_to_all(other.data() + 1, sizeof(int32_t));
  peer->post(header_of(first, 0));
  EXPECT_FALSE(pending->done());
  const Wait wait = queue->waiting_for();
  EXPECT_EQ(wait.text,
            "operation 0 of group tp, all_gather_v of 2 i32, which all ranks have joined and rank 5 has not finished");
  EXPECT_EQ(wait.missing, std::vector<int>{5});
  ASSERT_TRUE(peer->arrived());
  peer->release();
  EXPECT_TRUE(pending->done());
  EXPECT_EQ(queue->waiting_for().text, "");
}

// Of three ranks, rank r gives rank s so many elements: some blocks are empty, some are copied to the board and some
// are lent. Rank 2 takes part with small blocks only.
int64_t block_of(int r, int s) {
  if (r == 2 || s == 2) return 10 * r + s;
  return r < s ? 100'000 : 0;
}

TEST(LentBoard, CarriesBlocksOfAllSizes) {
  const Board board = make_heap_board(3, BlockPath::lent);
  on_board(board, [](CollectiveQueue& queue, int rank) {
    for (int32_t repetition = 0; repetition < 3; ++repetition) {
      std::vector<int64_t> in_counts, out_counts;
      std::vector<int32_t> in, expected;
      for (int r = 0; r < 3; ++r) {
        in_counts.push_back(block_of(rank, r));
        out_counts.push_back(block_of(r, rank));
        in.insert(in.end(), static_cast<size_t>(in_counts.back()), 10 * rank + r + repetition);
        expected.insert(expected.end(), static_cast<size_t>(out_counts.back()), 10 * r + rank + repetition);
      }
      std::vector<int32_t> out(expected.size());
      wait_on_host(queue.start({.op = Op::all_to_all_v,
                                .out = {out.data(), DType::i32, {static_cast<int64_t>(out.size())}},
                                .in = {in.data(), DType::i32, {static_cast<int64_t>(in.size())}},
                                .out_counts = out_counts,
                                .in_counts = in_counts}));
      EXPECT_EQ(out, expected);
    }
  });
}

TEST(LentBoard, ReducesAndGathersInPlace) {
  static constexpr int64_t kCount = Board::kArea_bytes;
  const Board board = make_heap_board(3, BlockPath::lent);
  on_board(board, [](CollectiveQueue& queue, int rank) {
    for (int repetition = 0; repetition < 3; ++repetition) {
      std::vector<int32_t> v(kCount, rank + repetition);
      const Tensor t{v.data(), DType::i32, {kCount}};
      wait_on_host(queue.start({.op = Op::all_reduce, .out = t, .in = t}));
      EXPECT_EQ(std::count(v.begin(), v.end(), 3 + 3 * repetition), kCount);
    }
  });
}

TEST(LentBoard, MemoryThatCannotBeReadIsAnError) {
  const Board board = make_heap_board(2, BlockPath::lent);
  const auto reader = make_memory_exchange(board, 1), lender = make_memory_exchange(board, 0);
  std::array<char, 64> memory{};
  lender->lend(1, reinterpret_cast<const void*>(uintptr_t{64}), 64);
  reader->offer_to_all(nullptr, 0);
  lender->post({});
  reader->post({});
  ASSERT_TRUE(reader->arrived());
  EXPECT_EQ(reader->from(0).bytes, 64);
  EXPECT_THROW(reader->copy(0, memory.data()), CommError);
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

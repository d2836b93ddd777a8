// Groups over several hosts, simulated by threads so that the sanitizers see them.
#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/engine/collective_queue.h"
#include "parallel/comm/engine/memory_exchange.h"

namespace birkhoff {
namespace {

using ::testing::HasSubstr;

using Body = std::function<void(CollectiveQueue& queue, int rank)>;

// Blocks are staged within a host, as between processes.
void on_hosts(const std::vector<int>& sizes, const Body& body) {
  const int ranks = std::accumulate(sizes.begin(), sizes.end(), 0);
  const Board all = make_heap_board(ranks, BlockPath::direct);
  const Board leaders = make_heap_board(static_cast<int>(sizes.size()), BlockPath::direct);
  std::vector<std::thread> threads;
  int rank = 0;
  for (size_t host = 0; host < sizes.size(); ++host) {
    const Board board = make_heap_board(sizes[host], BlockPath::staged);
    for (int place = 0; place < sizes[host]; ++place, ++rank) {
      threads.emplace_back([&, board, rank, place, host] {
        HostExchanges e;
        e.host = make_memory_exchange(board, place);
        if (place == 0) e.leaders = make_memory_exchange(leaders, static_cast<int>(host));
        e.all = make_memory_exchange(all, rank);
        e.host_sizes = sizes;
        e.names = names_of_world(ranks);
        const auto queue =
            std::make_shared<CollectiveQueue>(std::make_shared<Engine>(), make_host_carrier(std::move(e)));
        body(*queue, rank);
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
}

const std::vector<std::vector<int>> kLayouts{{1, 1}, {2, 2}, {3, 1}, {1, 2, 3}, {2, 1, 2}};

float element(int rank, int64_t i) {
  const auto bits = static_cast<uint64_t>(i + 1) * 0x9e3779b97f4a7c15u * static_cast<uint64_t>(2 * rank + 1);
  return static_cast<float>(static_cast<int64_t>(bits >> 40) % 20011 - 10005) * (bits % 3 ? 1e-3f : 1.0f);
}

// The sum in the order of the carrier: the serial sums of the hosts, one after the other.
float sum_by_host(const std::vector<int>& sizes, int64_t i) {
  float sum = 0;
  int rank = 0;
  for (size_t host = 0; host < sizes.size(); ++host) {
    float of_host = 0;
    for (int place = 0; place < sizes[host]; ++place, ++rank) {
      of_host = place == 0 ? element(rank, i) : of_host + element(rank, i);
    }
    sum = host == 0 ? of_host : sum + of_host;
  }
  return sum;
}

std::vector<float> elements(int rank, int64_t count) {
  std::vector<float> v(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) v[static_cast<size_t>(i)] = element(rank, i);
  return v;
}

std::vector<int64_t> counts_of(int ranks, int64_t scale) {
  std::vector<int64_t> counts;
  for (int r = 0; r < ranks; ++r) counts.push_back(r % 3 == 1 ? 0 : scale + r);
  return counts;
}

Tensor tensor_of(std::vector<float>& v, int64_t begin, int64_t count) {
  return Tensor{v.data(), DType::f32, {static_cast<int64_t>(v.size())}}.flat(begin, count);
}
Tensor tensor_of(std::vector<float>& v) { return tensor_of(v, 0, static_cast<int64_t>(v.size())); }

TEST(HostCarrier, SumsWithinHostsAndThenOverThem) {
  for (const auto& sizes : kLayouts) {
    const int ranks = std::accumulate(sizes.begin(), sizes.end(), 0);
    for (const int64_t scale : {int64_t{0}, int64_t{5}, int64_t{70'001}}) {
      const auto counts = counts_of(ranks, scale);
      const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
      on_hosts(sizes, [&](CollectiveQueue& queue, int rank) {
        const int64_t begin = std::accumulate(counts.begin(), counts.begin() + rank, int64_t{0});
        const int64_t mine = counts[static_cast<size_t>(rank)];
        auto scattered = elements(rank, total), reduced = scattered, untouched = scattered;
        auto first = queue.start({.op = Op::reduce_scatter_v,
                                  .out = tensor_of(scattered, begin, mine),
                                  .in = tensor_of(scattered),
                                  .in_counts = counts});
        auto second = queue.start({.op = Op::all_reduce, .out = tensor_of(reduced), .in = tensor_of(reduced)});
        wait_on_host(std::move(second));
        wait_on_host(std::move(first));
        for (int64_t i = 0; i < total; ++i) {
          const auto at = static_cast<size_t>(i);
          const bool own = i >= begin && i < begin + mine;
          ASSERT_EQ(scattered[at], own ? sum_by_host(sizes, i) : untouched[at]) << i;
          ASSERT_EQ(reduced[at], sum_by_host(sizes, i)) << i;
        }
      });
    }
  }
}

TEST(HostCarrier, GathersAndBroadcastsFromEveryRank) {
  for (const auto& sizes : kLayouts) {
    const int ranks = std::accumulate(sizes.begin(), sizes.end(), 0);
    const auto counts = counts_of(ranks, 3001);
    const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    on_hosts(sizes, [&](CollectiveQueue& queue, int rank) {
      const int64_t mine = counts[static_cast<size_t>(rank)];
      auto shard = elements(rank, mine);
      std::vector<float> all(static_cast<size_t>(total)), expected;
      for (int r = 0; r < ranks; ++r) {
        const auto part = elements(r, counts[static_cast<size_t>(r)]);
        expected.insert(expected.end(), part.begin(), part.end());
      }
      wait_on_host(
          queue.start({.op = Op::all_gather_v, .out = tensor_of(all), .in = tensor_of(shard), .out_counts = counts}));
      EXPECT_EQ(all, expected);
      for (int root = 0; root < ranks; ++root) {
        auto v = elements(rank, 997);
        wait_on_host(queue.start({.op = Op::broadcast, .out = tensor_of(v), .in = tensor_of(v), .peer = root}));
        EXPECT_EQ(v, elements(root, 997));
      }
    });
  }
}

TEST(HostCarrier, ExchangesBetweenAllPairs) {
  on_hosts({2, 3}, [](CollectiveQueue& queue, int rank) {
    std::vector<float> in(5), out(5);
    for (size_t to = 0; to < 5; ++to) in[to] = static_cast<float>(10 * rank) + static_cast<float>(to);
    const std::vector<int64_t> ones(5, 1);
    wait_on_host(queue.start(
        {.op = Op::all_to_all_v, .out = tensor_of(out), .in = tensor_of(in), .out_counts = ones, .in_counts = ones}));
    for (size_t from = 0; from < 5; ++from)
      EXPECT_EQ(out[from], static_cast<float>(10 * from) + static_cast<float>(rank));
  });
}

// The rank that differs has its peers on its own host in one case, and on another host in the other.
TEST(HostCarrier, NamesAMismatchByTheRanksOfTheGroup) {
  for (const int other : {1, 3}) {
    std::array<std::string, 4> messages;
    on_hosts({2, 2}, [&](CollectiveQueue& queue, int rank) {
      std::vector<float> v(12);
      const Tensor t = tensor_of(v).flat(0, rank == other || (other == 3 && rank == 2) ? 11 : 12);
      try {
        wait_on_host(queue.start({.op = Op::all_reduce, .out = t, .in = t}));
      } catch (const CommError& e) {
        messages[static_cast<size_t>(rank)] = e.what();
        queue.fail(e.what());
      }
    });
    EXPECT_THAT(messages[0], HasSubstr(concat("rank 0 calls operation 0, all_reduce sum of 12 f32, rank ",
                                              other == 3 ? 2 : 1, " calls operation 0, all_reduce sum of 11 f32")));
  }
}

TEST(HostCarrier, AFailureReachesTheRanksOfAHost) {
  on_hosts({2, 1}, [](CollectiveQueue& queue, int rank) {
    std::array<int32_t, 4> v{};
    const Tensor t{v.data(), DType::i32, {4}};
    if (rank == 0) return queue.fail("rank 0 is broken");
    try {
      wait_on_host(queue.start({.op = Op::all_reduce, .out = t, .in = t}));
      ADD_FAILURE() << "the failure went unseen";
    } catch (const CommError& e) {
      EXPECT_STREQ(e.what(), "rank 0 is broken");
    }
  });
}

}  // namespace
}  // namespace birkhoff

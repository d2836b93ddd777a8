// The transport that delays operations is a correct transport, and it shows programs that do not wait.
#include "tests/support/delayed.h"

#include <array>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/parallel/comm/collective_suite.h"
#include "tests/support/host_stream.h"

namespace birkhoff {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSeeds = 5;

// Runs `body` on four ranks, each with a transport of its own.
void run_delayed(uint64_t seed, const std::function<void(Communicator&)>& body) {
  run_ranks(4, [&](Communicator& inner) {
    const auto delayed = make_delayed(inner, seed);
    body(*delayed);
  });
}

TEST(Delayed, CarriesOutEveryOperation) {
  run_delayed(1, [](Communicator& comm) {
    check_all_to_all(comm);
    check_broadcast(comm);
    check_messages(comm);
    check_concurrent_works(comm);
    check_split(comm);
    check_agree(comm);
  });
}

// Starts an operation in each of several groups of one rank, and returns the groups in the order in which these end.
std::vector<size_t> order_of_ends(uint64_t seed) {
  constexpr size_t kGroups = 8;
  std::vector<size_t> order;
  run_ranks(1, [&](Communicator& inner) {
    const auto comm = make_delayed(inner, seed);
    std::vector<std::unique_ptr<Communicator>> groups;
    std::vector<Communicator::Pending> pending;
    std::array<int64_t, kGroups> values{};
    for (size_t g = 0; g < kGroups; ++g) groups.push_back(comm->split(0, 0, concat("group ", g)));
    for (size_t g = 0; g < kGroups; ++g)
      pending.push_back(groups[g]->all_reduce(host_stream(), {&values[g], DType::i64, {1}}));
    while (order.size() < kGroups) {
      for (size_t g = 0; g < kGroups; ++g) {
        if (pending[g] == nullptr || !pending[g]->done()) continue;
        pending[g].reset();
        order.push_back(g);
      }
    }
  });
  return order;
}

TEST(Delayed, OperationsOfSeveralGroupsEndInAnotherOrderForEachSeed) {
  const std::vector<size_t> first = order_of_ends(1), second = order_of_ends(2);
  EXPECT_EQ(first, order_of_ends(1));
  EXPECT_NE(first, second);
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
}

// Without delays, the rank that comes last finds the sum in place as soon as it has started the operation.
TEST(Delayed, AnOutputIsAsItWasUntilItsOperationBegins) {
  int seen = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    run_delayed(seed, [&](Communicator& comm) {
      std::vector<float> v(12, 1.0f);
      auto pending = comm.all_reduce(host_stream(), {v.data(), DType::f32, {12}});
      if (comm.rank() == 0) seen += v[0] == 1.0f;
      wait_on_host(std::move(pending));
      EXPECT_EQ(v[0], 4.0f);
    });
  }
  EXPECT_EQ(seen, static_cast<int>(kSeeds));
}

TEST(Delayed, ARankThatLeavesFreesItsPeers) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    try {
      run_delayed(seed, [](Communicator& comm) {
        std::vector<float> v(12);
        auto pending = comm.all_reduce(host_stream(), {v.data(), DType::f32, {12}});
        if (comm.rank() == 2) throw DataError("broken");
        wait_on_host(std::move(pending));
        comm.barrier();
      });
      ADD_FAILURE() << "expected an error";
    } catch (const DataError& e) {
      EXPECT_STREQ(e.what(), "rank 2: broken");
    }
  }
}

TEST(Delayed, AMismatchIsNamed) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    try {
      run_delayed(seed, [](Communicator& comm) {
        std::vector<float> v(12);
        wait_on_host(comm.all_reduce(host_stream(), {v.data(), DType::f32, {comm.rank() == 3 ? 11 : 12}}));
      });
      ADD_FAILURE() << "expected an error";
    } catch (const CommError& e) {
      EXPECT_THAT(e.what(), HasSubstr("the ranks of group world disagree: rank 0 calls operation 0"));
    }
  }
}

}  // namespace
}  // namespace birkhoff

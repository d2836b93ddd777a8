#include "parallel/comm/host_values.h"

#include <array>

#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"

namespace birkhoff {
namespace {

using testing::ElementsAre;

class HostValues : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(OfOneToFour, HostValues, testing::Range(1, 5));

TEST_P(HostValues, AreReducedWhateverHoldsThem) {
  run_ranks(GetParam(), [](Communicator& comm) {
    const int n = comm.size();
    std::array<int64_t, 2> fixed{comm.rank() == 1, 1};
    all_reduce_on_host(comm, std::span(fixed));
    EXPECT_THAT(fixed, ElementsAre(n > 1, n));
    std::vector<double> values{double(comm.rank()), 0.5};
    all_reduce_on_host(comm, std::span(values), Reduce::max);
    EXPECT_THAT(values, ElementsAre(n - 1, 0.5));
    EXPECT_EQ(all_reduce_on_host(comm, comm.rank() + 1, Reduce::min), 1);
  });
}

TEST_P(HostValues, AreGatheredInRankOrder) {
  run_ranks(GetParam(), [](Communicator& comm) {
    struct Place {
      char name[3];
      double at;
    };
    const std::vector<Place> places = all_gather_on_host(comm, Place{"ab", comm.rank() / 2.0});
    ASSERT_EQ(places.size(), static_cast<size_t>(comm.size()));
    for (size_t r = 0; r < places.size(); ++r) {
      EXPECT_STREQ(places[r].name, "ab");
      EXPECT_EQ(places[r].at, static_cast<double>(r) / 2);
    }
    // Rank r gives r numbers, so that rank 0 gives none.
    std::vector<int64_t> counts;
    for (int r = 0; r < comm.size(); ++r) counts.push_back(r);
    const std::vector<int32_t> own(static_cast<size_t>(comm.rank()), comm.rank());
    std::vector<int32_t> expected;
    for (int r = 0; r < comm.size(); ++r) expected.insert(expected.end(), static_cast<size_t>(r), r);
    EXPECT_EQ(all_gather_v_on_host(comm, std::span(own), counts), expected);
  });
}

TEST_P(HostValues, AreGivenByOneRankToAll) {
  run_ranks(GetParam(), [](Communicator& comm) {
    const int root = comm.size() - 1;
    EXPECT_EQ(broadcast_on_host(comm, int64_t{comm.rank()}, root), root);
    EXPECT_EQ(broadcast_on_host(comm, std::string(static_cast<size_t>(comm.rank()), 'x'), root),
              std::string(root, 'x'));
  });
}

TEST_P(HostValues, AreExchangedByRank) {
  run_ranks(GetParam(), [](Communicator& comm) {
    const int n = comm.size();
    const std::vector<int64_t> ones(static_cast<size_t>(n), 1);
    std::vector<int64_t> sent, expected;
    for (int r = 0; r < n; ++r) {
      sent.push_back(10 * comm.rank() + r);
      expected.push_back(10 * r + comm.rank());
    }
    EXPECT_EQ(all_to_all_v_on_host(comm, ones, std::span(std::as_const(sent)), ones), expected);
  });
}

}  // namespace
}  // namespace birkhoff


#include <gmock/gmock.h>

#include "kernels/core/arena.h"
#include "kernels/core/error.h"
#include "parallel/comm/threads/run_ranks.h"
#include "parallel/comm/threads/thread_world.h"
#include "tests/parallel/comm/collective_suite.h"
#include "tests/support/host_stream.h"

namespace birkhoff {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Ranks : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(OfOneToFive, Ranks, ::testing::Range(1, 6));

TEST_P(Ranks, AllReduceInRankOrder) { run_ranks(GetParam(), check_all_reduce); }
TEST_P(Ranks, AllGatherUnevenCounts) { run_ranks(GetParam(), check_all_gather); }
TEST_P(Ranks, ReduceScatterUnevenCounts) { run_ranks(GetParam(), check_reduce_scatter); }
TEST_P(Ranks, AllToAllOfOtherCountsForEveryPair) { run_ranks(GetParam(), check_all_to_all); }
TEST_P(Ranks, BroadcastFromEveryRoot) { run_ranks(GetParam(), check_broadcast); }
TEST_P(Ranks, MessagesMatchByTag) { run_ranks(GetParam(), check_messages); }
TEST_P(Ranks, ManyWorksPendingInTwoGroups) { run_ranks(GetParam(), check_concurrent_works); }
TEST_P(Ranks, SplitIntoSubGroups) { run_ranks(GetParam(), check_split); }
TEST_P(Ranks, SucceedOrFailTogether) { run_ranks(GetParam(), check_agree); }

// The message of the exception that run_ranks throws.
std::string failure_of(int ranks, const std::function<void(Communicator&)>& body) {
  try {
    run_ranks(ranks, body);
  } catch (const Error& e) {
    return e.what();
  }
  return "no failure";
}

TEST(Ranks, AFailingRankFreesItsPeersAndReportsTheFirstCause) {
  try {
    run_ranks(4, [](Communicator& comm) {
      Arena arena({}, 4096);
      BK_CHECK(comm.rank() != 2, "shard 7 is corrupt");
      wait_on_host(comm.recv(host_stream(), arena.take(DType::f32, {4}), /*from=*/2, /*tag=*/0));  // would wait forever
    });
    FAIL() << "expected an error";
  } catch (const UserError& e) {
    EXPECT_STREQ(e.what(), "rank 2: shard 7 is corrupt");
  }
}

// The program tells a lack of memory from a defect by the class of the error.
TEST(Ranks, ALackOfMemoryKeepsItsClass) {
  EXPECT_THROW(run_ranks(2,
                         [](Communicator& comm) {
                           if (comm.rank() == 1) throw std::bad_alloc();
                           comm.barrier();
                         }),
               std::bad_alloc);
}

TEST(Ranks, AFailureWithPendingWorksNeverLeavesPeersReadingFreedMemory) {
  for (int repetition = 0; repetition < 20; ++repetition) {
    EXPECT_EQ(failure_of(3,
                         [](Communicator& comm) {
                           std::vector<float> data(200'000, 1.0f);
                           const Tensor all{data.data(), DType::f32, {static_cast<int64_t>(data.size())}};
                           auto first = comm.all_reduce(host_stream(), all);
                           if (comm.rank() == 1) throw DataError("broken");
                           wait_on_host(std::move(first));
                           comm.barrier();
                         }),
              "rank 1: broken");
  }
}

TEST(Ranks, AMismatchedOperationIsNamedNotHung) {
  EXPECT_THAT(failure_of(3,
                         [](Communicator& comm) {
                           std::vector<float> v(12);
                           const Tensor t{v.data(), DType::f32, {12}};
                           wait_on_host(comm.rank() == 2 ? comm.broadcast(host_stream(), t, 1)
                                                         : comm.all_reduce(host_stream(), t));
                         }),
              HasSubstr("the ranks of group world disagree: rank 0 calls operation 0, all_reduce sum of 12 f32, rank 2 "
                        "calls operation "
                        "0, broadcast of 12 f32 from rank 1"));
}

TEST(Ranks, MismatchedSizesAndDTypesAreNamed) {
  EXPECT_THAT(failure_of(2,
                         [](Communicator& comm) {
                           std::vector<double> v(12);
                           wait_on_host(comm.all_reduce(host_stream(), {v.data(), DType::f64, {11 + comm.rank()}}));
                         }),
              AllOf(HasSubstr("sum of 11 f64"), HasSubstr("sum of 12 f64")));
  EXPECT_THAT(
      failure_of(
          2,
          [](Communicator& comm) {
            std::vector<double> v(12);
            wait_on_host(comm.all_reduce(host_stream(), {v.data(), comm.rank() ? DType::f64 : DType::i64, {12}}));
          }),
      AllOf(HasSubstr("12 i64"), HasSubstr("12 f64")));
}

TEST(Ranks, MismatchedCountsPerRankAreNamed) {
  EXPECT_THAT(
      failure_of(
          2,
          [](Communicator& comm) {
            std::vector<float> all(6), mine(6);
            const std::vector<int64_t> counts = comm.rank() ? std::vector<int64_t>{4, 2} : std::vector<int64_t>{3, 3};
            const int64_t count = counts[static_cast<size_t>(comm.rank())];
            wait_on_host(comm.all_gather_v(host_stream(), {all.data(), DType::f32, {6}},
                                           {mine.data(), DType::f32, {count}}, counts));
          }),
      HasSubstr("with other counts per rank"));
  EXPECT_THAT(failure_of(2,
                         [](Communicator& comm) {
                           std::vector<float> out(6), in(6);
                           const std::vector<int64_t> three{3, 3}, uneven{comm.rank() ? 2 : 3, 3};
                           const int64_t count = uneven[0] + 3;
                           wait_on_host(comm.all_to_all_v(host_stream(), {out.data(), DType::f32, {count}}, uneven,
                                                          {in.data(), DType::f32, {6}}, three));
                         }),
              HasSubstr("rank 0 gives 3 elements to rank 1, which expects 2"));
}

TEST(Ranks, MismatchedMessagesAreNamed) {
  EXPECT_THAT(failure_of(2,
                         [](Communicator& comm) {
                           std::vector<float> v(8);
                           if (comm.rank() == 0) {
                             wait_on_host(comm.send(host_stream(), {v.data(), DType::f32, {8}}, 1, 5));
                           } else {
                             wait_on_host(comm.recv(host_stream(), {v.data(), DType::f32, {7}}, 0, 5));
                           }
                         }),
              HasSubstr("rank 0 calls send of 8 f32 to rank 1 tag 5, rank 1 calls recv of 7 f32 from rank 0 tag 5"));
}

TEST(Ranks, WrongArgumentsAreDefectsOfTheCaller) {
  run_ranks(1, [](Communicator& comm) {
    std::vector<float> v(4);
    const Tensor t{v.data(), DType::f32, {4}};
    EXPECT_THROW(comm.broadcast(host_stream(), t, 1), BugError);
    EXPECT_THROW(comm.all_gather_v(host_stream(), t, t, std::vector<int64_t>{3}), BugError);
    EXPECT_THROW(comm.all_gather_v(host_stream(), t, t, std::vector<int64_t>{2, 2}), BugError);
  });
}

TEST(Ranks, SayWhatTheyWaitFor) {
  run_ranks(3, [](Communicator& comm) {
    EXPECT_EQ(comm.waiting_for().text, "");
    std::vector<float> v(4);
    if (comm.rank() == 0) {
      auto work = comm.all_reduce(host_stream(), {v.data(), DType::f32, {4}});
      const Wait wait = comm.waiting_for();
      EXPECT_EQ(wait.text, "operation 0 of group world, all_reduce sum of 4 f32, missing rank 1, 2");
      EXPECT_EQ(wait.missing, (std::vector<int>{1, 2}));
      wait_on_host(comm.send(host_stream(), {v.data(), DType::f32, {1}}, 1, 0));
      wait_on_host(comm.send(host_stream(), {v.data(), DType::f32, {1}}, 2, 0));
      wait_on_host(std::move(work));
    } else {
      wait_on_host(comm.recv(host_stream(), {v.data(), DType::f32, {1}}, 0, 0));
      wait_on_host(comm.all_reduce(host_stream(), {v.data(), DType::f32, {4}}));
    }
  });
}

TEST(Ranks, MetaTensorsMoveNothing) {
  run_ranks(2, [](Communicator& comm) {
    if (comm.rank() == 0) wait_on_host(comm.all_reduce(host_stream(), {nullptr, DType::f32, {1 << 30}}));
  });
}

}  // namespace
}  // namespace birkhoff

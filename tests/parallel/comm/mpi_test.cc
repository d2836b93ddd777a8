#include <cstdlib>
#include <string>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/mesh/mesh.h"
#include "tests/parallel/comm/collective_suite.h"
#include "tests/support/mpi_world.h"

namespace birkhoff {
namespace {

using ::testing::HasSubstr;

Communicator& world() {
  const char* transport = std::getenv("BIRKHOFF_TRANSPORT");
  if (transport && std::string(transport) == "host_pairs") ranks_per_host = 2;
  return mpi_test_world();
}

TEST(Mpi, AllReduceInRankOrder) { check_all_reduce(world()); }
TEST(Mpi, AllGatherUnevenCounts) { check_all_gather(world()); }
TEST(Mpi, ReduceScatterUnevenCounts) { check_reduce_scatter(world()); }
TEST(Mpi, AllToAllOfOtherCountsForEveryPair) { check_all_to_all(world()); }
TEST(Mpi, BroadcastFromEveryRoot) { check_broadcast(world()); }
TEST(Mpi, MessagesMatchByTag) { check_messages(world()); }
TEST(Mpi, ManyWorksPendingInTwoGroups) { check_concurrent_works(world()); }
TEST(Mpi, SplitIntoSubGroups) { check_split(world()); }
TEST(Mpi, SucceedOrFailTogether) { check_agree(world()); }

TEST(Mpi, KnowsItsPlaceOnTheHost) {
  EXPECT_EQ(world().local_size(), world().size());
  EXPECT_EQ(world().local_rank(), world().rank());
}

TEST(Mpi, CarriesAMesh) {
  const Mesh mesh(world(), {});
  EXPECT_EQ(mesh.degree(Axis::dp), world().size());
  check_all_reduce(mesh.along(Axis::dp));
}

// The last rank is on another host than the first, where hosts are pairs.
TEST(Mpi, AMismatchBetweenHostsIsNamed) {
  if (world().size() < 3) GTEST_SKIP() << "one host";
  const auto group = world().split(0, world().rank(), "doomed");
  std::vector<float> v(12);
  const int64_t count = world().rank() < 2 ? 12 : 11;
  try {
    wait_on_host(group->all_reduce({v.data(), DType::f32, {count}}));
    ADD_FAILURE() << "the mismatch went unseen";
  } catch (const CommError& e) {
    EXPECT_THAT(e.what(), HasSubstr("rank 0 calls operation 0, all_reduce sum of 12 f32, rank 2 calls operation 0, "
                                    "all_reduce sum of 11 f32"));
  }
}

// In a group of its own, which the failure leaves unusable.
TEST(Mpi, AMismatchedOperationIsNamedNotHung) {
  if (world().size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  const auto group = world().split(0, world().rank(), "doomed");
  std::vector<float> v(12);
  const Tensor t{v.data(), DType::f32, {12}};
  try {
    wait_on_host(world().rank() == 1 ? group->broadcast(t, 0) : group->all_reduce(t));
    ADD_FAILURE() << "the mismatch went unseen";
  } catch (const CommError& e) {
    EXPECT_THAT(e.what(), HasSubstr("rank 0 calls operation 0, all_reduce sum of 12 f32, rank 1 calls operation 0, "
                                    "broadcast of 12 f32 from rank 0"));
  }
}

TEST(Mpi, AMessageOfAnotherSizeIsNamed) {
  if (world().size() == 1) GTEST_SKIP() << "needs a peer";
  std::vector<float> v(8);
  if (world().rank() == 0) {
    wait_on_host(world().send({v.data(), DType::f32, {7}}, 1, 0));
    wait_on_host(world().send({v.data(), DType::f32, {8}}, 1, 1));
  } else if (world().rank() == 1) {
    EXPECT_THROW(wait_on_host(world().recv({v.data(), DType::f32, {8}}, 0, 0)), CommError);
    EXPECT_THROW(wait_on_host(world().recv({v.data(), DType::f32, {7}}, 0, 1)), CommError);
  }
}

}  // namespace
}  // namespace birkhoff

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/core/error.h"
#include "kernels/core/process_tag.h"
#include "parallel/comm/host_values.h"
#include "parallel/comm/mpi/host_memory.h"
#include "parallel/mesh/mesh.h"
#include "tests/parallel/comm/collective_suite.h"
#include "tests/support/delayed.h"
#include "tests/support/host_stream.h"
#include "tests/support/mpi_world.h"

namespace birkhoff {
namespace {

using ::testing::HasSubstr;

Communicator& world() {
  const char* transport = std::getenv("BIRKHOFF_TRANSPORT");
  if (transport && std::string(transport).ends_with("_pairs")) ranks_per_host = 2;
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

TEST(Mpi, DelayedOperationsGiveTheSame) {
  const auto delayed = make_delayed(world(), 1);
  check_broadcast(*delayed);
  check_messages(*delayed);
  check_concurrent_works(*delayed);
}

TEST(Mpi, KnowsItsPlaceOnTheHost) {
  EXPECT_EQ(world().local_size(), world().size());
  EXPECT_EQ(world().local_rank(), world().rank());
}

TEST(Mpi, CarriesAMesh) {
  const Mesh mesh(world(), {});
  EXPECT_EQ(mesh.degree(Axis::dp), world().size());
  check_all_reduce(mesh.group(Group::dp));
}

// Of four ranks that a launcher deals out to two hosts, 0 and 2 are on the first one and 1 and 3 on the second.
TEST(Mpi, RanksOfAHostAreConsecutiveWhateverTheMapping) {
  const char* transport = std::getenv("BIRKHOFF_TRANSPORT");
  const char* launched = std::getenv("OMPI_COMM_WORLD_RANK");
  if (!transport || std::string(transport) != "dealt_pairs" || !launched) GTEST_SKIP() << "needs dealt_pairs";
  const int hosts = (world().size() + 1) / 2, host = std::atoi(launched) % hosts;
  const std::vector<int> host_of = all_gather_on_host(world(), host);
  for (size_t r = 0; r < host_of.size(); ++r) EXPECT_EQ(host_of[r], static_cast<int>(r) / 2);
  EXPECT_EQ(std::atoi(launched), hosts * (world().rank() % 2) + world().rank() / 2);
  if (world().size() % 2 != 0) return;
  const Mesh mesh(world(), {.tp = 2});
  for (const int other : all_gather_on_host(mesh.group(Group::tp), host)) EXPECT_EQ(other, host);
}

// Bytes of shared memory that this process has mapped.
int64_t mapped_bytes() {
  std::ifstream maps("/proc/self/maps");
  int64_t bytes = 0;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0;
    if (line.find("/birkhoff-") == std::string::npos) continue;
    EXPECT_EQ(std::sscanf(line.c_str(), "%lx-%lx", &begin, &end), 2) << line;
    bytes += static_cast<int64_t>(end - begin);
  }
  return bytes;
}

TEST(Mpi, GroupsBeyondTheLimitOfSharedMemoryExchangeMessages) {
  const char* transport = std::getenv("BIRKHOFF_TRANSPORT");
  if (transport && std::string(transport) != "automatic") GTEST_SKIP() << "needs every rank on one host";
  if (world().size() == 1) GTEST_SKIP() << "uses no shared memory";
  const auto without = groups_without_host_memory().size();
  std::vector<std::unique_ptr<Communicator>> groups;
  for (int i = 0; i < 20; ++i) groups.push_back(world().split(0, world().rank(), concat("many", i)));
  const std::vector<std::string> names = groups_without_host_memory();
  ASSERT_GT(names.size(), without);
  EXPECT_EQ(names.back(), "many19");
  EXPECT_LE(mapped_bytes() / world().size(), kMostHostMemory_bytes);
  EXPECT_GT(mapped_bytes() / world().size(), kMostHostMemory_bytes / 2);
  check_all_reduce(*groups.back());
  groups.clear();
  EXPECT_LT(mapped_bytes() / world().size(), kMostHostMemory_bytes / 2) << "it is free again";
}

// Shared memory whose creator was killed before it could unlink the name.
TEST(Mpi, RemovesTheSharedMemoryThatKilledRanksLeft) {
  const char* transport = std::getenv("BIRKHOFF_TRANSPORT");
  if (transport && std::string(transport) == "messages") GTEST_SKIP() << "no shared memory is used";
  const bool first = world().rank() == 0;
  std::vector<std::string> theirs, others;
  if (first) {
    const int ended = ::fork();
    if (ended == 0) ::_exit(0);
    ::waitpid(ended, nullptr, 0);
    const std::string mine = process_tag(), tag = mine.substr(0, mine.rfind('-') + 1);
    theirs = {concat("birkhoff-", ended, "-0123456789abcdef"), concat("birkhoff-0123456789abcdef.", tag, ended)};
    others = {concat("birkhoff-", ::getppid(), "-0123456789abcdef"), concat("birkhoff-notes-", ended)};
    for (const auto& names : {theirs, others})
      for (const std::string& name : names) ::close(::shm_open(name.c_str(), O_RDWR | O_CREAT, 0600));
  }
  const auto group = world().split(0, world().rank(), "removing");
  const auto is_there = [](const std::string& name) { return std::filesystem::exists("/dev/shm/" + name); };
  for (const std::string& name : theirs) EXPECT_NE(is_there(name), world().size() > 1) << name;
  for (const std::string& name : others) EXPECT_TRUE(is_there(name)) << name;
  for (const auto& names : {theirs, others})
    for (const std::string& name : names) ::shm_unlink(name.c_str());
}

// If hosts are pairs of ranks, the last rank is on another host than the first.
TEST(Mpi, AMismatchBetweenHostsIsNamed) {
  if (world().size() < 3) GTEST_SKIP() << "one host";
  const auto group = world().split(0, world().rank(), "doomed");
  std::vector<float> v(12);
  const int64_t count = world().rank() < 2 ? 12 : 11;
  try {
    wait_on_host(group->all_reduce(host_stream(), {v.data(), DType::f32, {count}}));
    ADD_FAILURE() << "the mismatch went unseen";
  } catch (const CommError& e) {
    EXPECT_THAT(e.what(), HasSubstr("rank 0 calls operation 0, all_reduce sum of 12 f32, rank 2 calls operation 0, "
                                    "all_reduce sum of 11 f32"));
  }
}

// Uses a group of its own, because the failure makes the group unusable.
TEST(Mpi, AMismatchedOperationIsNamedNotHung) {
  if (world().size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  const auto group = world().split(0, world().rank(), "doomed");
  std::vector<float> v(12);
  const Tensor t{v.data(), DType::f32, {12}};
  try {
    wait_on_host(world().rank() == 1 ? group->broadcast(host_stream(), t, 0) : group->all_reduce(host_stream(), t));
    ADD_FAILURE() << "the mismatch went unseen";
  } catch (const CommError& e) {
    EXPECT_THAT(e.what(), HasSubstr("rank 0 calls operation 0, all_reduce sum of 12 f32, rank 1 calls operation 0, "
                                    "broadcast of 12 f32 from rank 0"));
  }
}

// The last rank calls something else than its peer in an axis of a mesh; the other groups of this axis go on.
TEST(Mpi, AMismatchInAnAxisIsNamedByItsGroupAndTheRanksOfTheWorld) {
  if (world().size() != 4) GTEST_SKIP() << "needs two ranks along two axes";
  for (const auto& [axis, first] : {std::pair{Axis::tp, 2}, std::pair{Axis::dp, 1}}) {
    for (const std::string kind : {"size", "operation", "dtype"}) {
      const Mesh mesh(world(), {.tp = 2});
      Communicator& group = mesh.group(group_along(axis));
      std::vector<double> v(12);
      const bool odd = world().rank() == 3;
      const Tensor t{v.data(), odd && kind == "dtype" ? DType::i64 : DType::f64, {odd && kind == "size" ? 11 : 12}};
      const auto call = [&] {
        wait_on_host(odd && kind == "operation" ? group.broadcast(host_stream(), t, 0)
                                                : group.all_reduce(host_stream(), t));
      };
      if (group.world_rank(1) != 3) {
        call();
        continue;
      }
      try {
        call();
        ADD_FAILURE() << kind << " in " << name_of(axis) << ": the mismatch went unseen";
      } catch (const CommError& e) {
        EXPECT_THAT(e.what(),
                    HasSubstr(concat("the ranks of group ", name_of(axis), " disagree: rank ", first,
                                     " calls operation 0, all_reduce sum of 12 f64, rank 3 calls operation 0, ")));
      }
    }
  }
}

TEST(Mpi, AMessageOfAnotherSizeIsNamed) {
  if (world().size() == 1) GTEST_SKIP() << "needs a peer";
  std::vector<float> v(8);
  if (world().rank() == 0) {
    wait_on_host(world().send(host_stream(), {v.data(), DType::f32, {7}}, 1, 0));
    wait_on_host(world().send(host_stream(), {v.data(), DType::f32, {8}}, 1, 1));
  } else if (world().rank() == 1) {
    EXPECT_THROW(wait_on_host(world().recv(host_stream(), {v.data(), DType::f32, {8}}, 0, 0)), CommError);
    EXPECT_THROW(wait_on_host(world().recv(host_stream(), {v.data(), DType::f32, {7}}, 0, 1)), CommError);
  }
}

}  // namespace
}  // namespace birkhoff

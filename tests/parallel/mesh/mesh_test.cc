#include "parallel/mesh/mesh.h"

#include <algorithm>
#include <map>
#include <vector>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/dry/dry_group.h"
#include "parallel/comm/engine/memory_exchange.h"
#include "parallel/comm/host_values.h"
#include "parallel/comm/mpi/host_memory.h"
#include "parallel/comm/threads/run_ranks.h"

namespace birkhoff {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

// The world ranks of the members of this rank's group.
std::vector<int> members(const Mesh& mesh, Group group) {
  return all_gather_on_host(mesh.group(group), mesh.world().rank());
}

TEST(Mesh, WorldOfOneHasEveryAxis) {
  run_ranks(1, [](Communicator& world) {
    const Mesh mesh(world, {});
    EXPECT_EQ(mesh.describe(), "1");
    for (int g = 0; g < kNumGroups; ++g) EXPECT_EQ(mesh.group(static_cast<Group>(g)).size(), 1);
  });
}

TEST(Mesh, DpTakesWhatTheOthersLeave) {
  run_ranks(3, [](Communicator& world) {
    const Mesh mesh(world, {});
    EXPECT_EQ(mesh.describe(), "dp3");
    EXPECT_THAT(members(mesh, Group::dp), ElementsAre(0, 1, 2));
    EXPECT_EQ(mesh.coordinate(Axis::dp), world.rank());
    EXPECT_EQ(mesh.degree(Axis::edp), 3);
  });
}

TEST(Mesh, RanksOfTpAreNeighbors) {
  run_ranks(8, [](Communicator& world) {
    MeshDegrees degrees;
    degrees.tp = 2, degrees.pp = 2, degrees.ep = 4;
    const Mesh mesh(world, degrees);
    EXPECT_EQ(mesh.describe(), "tp2.dp2.pp2.ep4");
    const int r = world.rank(), stage = r / 4 * 4;
    EXPECT_THAT(members(mesh, Group::tp), ElementsAre(r / 2 * 2, r / 2 * 2 + 1));
    EXPECT_THAT(members(mesh, Group::dp), ElementsAre(stage + r % 2, stage + r % 2 + 2));
    EXPECT_THAT(members(mesh, Group::pp), ElementsAre(r % 4, r % 4 + 4));
    EXPECT_THAT(members(mesh, Group::ep), ElementsAre(stage, stage + 1, stage + 2, stage + 3));
    EXPECT_THAT(members(mesh, Group::edp), ElementsAre(r));
  });
}

// Of 8 ranks, laid out as (pp, dp, cp, tp) = (2, 1, 2, 2), rank 5 is tp 1, cp 0, pp 1.
TEST(Mesh, NamesTheGroupsThatRunsNeed) {
  run_ranks(8, [](Communicator& world) {
    const Mesh mesh(world, {.tp = 2, .cp = 2, .pp = 2, .etp = 2, .ep = 1, .engram = 2});
    EXPECT_EQ(mesh.degree(Axis::edp), 2);
    const std::map<Group, std::vector<int>> of_rank_5{{Group::tp, {4, 5}},
                                                      {Group::cp, {5, 7}},
                                                      {Group::dp, {5}},
                                                      {Group::pp, {1, 5}},
                                                      {Group::etp, {4, 5}},
                                                      {Group::ep, {5}},
                                                      {Group::edp, {5, 7}},
                                                      {Group::engram, {4, 5}},
                                                      {Group::batch, {5, 7}},
                                                      {Group::stage, {4, 5, 6, 7}},
                                                      {Group::engram_holders, {5, 7}},
                                                      {Group::ep_across, {5}},
                                                      {Group::ep_within, {5}},
                                                      {Group::ends, {1, 5}},
                                                      {Group::world, {0, 1, 2, 3, 4, 5, 6, 7}}};
    for (int g = 0; g < kNumGroups; ++g) {
      const auto group = static_cast<Group>(g);
      const std::vector<int> found = members(mesh, group);
      if (world.rank() != 5) continue;
      EXPECT_EQ(found, of_rank_5.at(group)) << name_of(group);
    }
  });
}

// Tests all axes at once, for every way of dividing 8 ranks that the mesh accepts: every group must hold the ranks that
// its purpose requires.
TEST(Mesh, GroupsHoldTheRanksThatDifferInTheirAxesAlone) {
  int meshes = 0;
  for (const int tp : {1, 2, 4}) {
    for (const int cp : {1, 2}) {
      for (const int pp : {1, 2, 4}) {
        for (const int etp : {1, 2}) {
          for (const int ep : {1, 2, 4}) {
            const int stage = 8 / pp;
            if (8 % (tp * cp * pp) != 0 || stage % (etp * ep) != 0) continue;
            ++meshes;
            const auto n = resolve_degrees({.tp = tp, .cp = cp, .pp = pp, .etp = etp, .ep = ep, .engram = ep}, 8);
            for (int rank = 0; rank < 8; ++rank) {
              const auto own = coordinates_of(rank, n);
              auto expect = [&](Group group, std::vector<Axis> equal) {
                std::vector<int> expected;
                for (int other = 0; other < 8; ++other) {
                  const auto c = coordinates_of(other, n);
                  bool member = true;
                  for (const Axis a : equal) member &= c[static_cast<size_t>(a)] == own[static_cast<size_t>(a)];
                  if (member) expected.push_back(other);
                }
                EXPECT_EQ(members_of(group, rank, n), expected) << name_of(group) << " of rank " << rank;
              };
              expect(Group::tp, {Axis::cp, Axis::dp, Axis::pp});
              expect(Group::dp, {Axis::tp, Axis::cp, Axis::pp});
              expect(Group::batch, {Axis::tp, Axis::pp});
              expect(Group::stage, {Axis::pp});
              expect(Group::etp, {Axis::ep, Axis::edp, Axis::pp});
              expect(Group::ep, {Axis::etp, Axis::edp, Axis::pp});
              expect(Group::edp, {Axis::etp, Axis::ep, Axis::pp});
              expect(Group::engram_holders, {Axis::engram, Axis::pp});
              expect(Group::world, {});
              EXPECT_EQ(members_of(Group::engram, rank, n).size(), static_cast<size_t>(ep));
              EXPECT_EQ(members_of(Group::ends, rank, n).size(), pp > 1 && own[3] % (pp - 1) == 0 ? 2u : 1u);
            }
          }
        }
      }
    }
  }
  EXPECT_GT(meshes, 30);
}

TEST(Mesh, GroupsOfEqualMembersAreOneCommunicator) {
  run_ranks(4, [](Communicator& world) {
    const Mesh replicas(world, {});
    EXPECT_EQ(&replicas.group(Group::batch), &replicas.group(Group::dp));
    EXPECT_EQ(&replicas.group(Group::stage), &replicas.group(Group::dp));
    EXPECT_EQ(replicas.group(Group::stage).name(), "dp");
    EXPECT_EQ(&replicas.group(Group::tp), &replicas.group(Group::pp)) << "this rank alone";
    const Mesh mixed(world, {.tp = 2});
    EXPECT_EQ(&mixed.group(Group::batch), &mixed.group(Group::dp));
    EXPECT_NE(&mixed.group(Group::stage), &mixed.group(Group::dp));
    EXPECT_EQ(&mixed.group(Group::stage), &mixed.group(Group::edp)) << "no axis divides the experts";
    EXPECT_EQ(&mixed.group(Group::edp), &world);
    const Mesh staged(world, {.tp = 2, .pp = 2});
    EXPECT_EQ(staged.group(Group::edp).name(), "tp") << "the ranks of a stage";
  });
  run_ranks(8, [](Communicator& world) {
    const Mesh mesh(world, {.tp = 2, .pp = 2});
    EXPECT_EQ(mesh.group(Group::edp).name(), "stage") << "no axis divides the experts";
    EXPECT_EQ(mesh.group(Group::batch).name(), "dp");
    EXPECT_EQ(mesh.group(Group::world).name(), "world");
  });
}

// The host of 8 ranks gives them 64 MiB: enough for all groups of every mesh, the world and the writer of checkpoints.
TEST(Mesh, GroupsOfEightRanksFitIntoTheSharedMemoryOfTheirHost) {
  int64_t most = 0;
  for (const int tp : {1, 2, 4, 8})
    for (const int cp : {1, 2, 4, 8})
      for (const int pp : {1, 2, 4, 8})
        for (const int etp : {1, 2, 4, 8})
          for (const int ep : {1, 2, 4, 8})
            for (const int engram : {1, 2, 4, 8}) {
              const int stage = 8 / pp;
              if (8 % (tp * cp * pp) != 0 || stage % (etp * ep) != 0 || stage % engram != 0) continue;
              const auto share = [](int ranks) {
                return static_cast<int64_t>(Board::bytes_for(ranks, BlockPath::staged)) / ranks;
              };
              int64_t bytes = 2 * share(8);
              Traffic unused;
              const MeshDegrees degrees{.tp = tp, .cp = cp, .pp = pp, .etp = etp, .ep = ep, .engram = engram};
              const Mesh mesh(8, 0, degrees, [&](const std::string& name, const std::vector<int>& members) {
                const int size = static_cast<int>(members.size());
                if (size > 1 && name != "world") bytes += share(size);
                return make_dry_group({.name = name, .size = size}, unused);
              });
              most = std::max(most, bytes);
            }
  EXPECT_LE(most, kMostHostMemory_bytes);
  EXPECT_LE(8 * kMostHostMemory_bytes, 64 << 20);
}

TEST(Mesh, GroupsHaveTheNamesOfTheAxesInTheirOrder) {
  for (int a = 0; a < kNumAxes; ++a) {
    const auto axis = static_cast<Axis>(a);
    if (axis == Axis::ep_group) continue;
    EXPECT_EQ(name_of(group_along(axis)), name_of(axis));
  }
  EXPECT_THROW(group_along(Axis::ep_group), BugError);
}

// A collective of another size, or one that is left out, on one rank of a tensor-parallel group.
TEST(Mesh, RanksOfAGroupThatDisagreeAreNamedAsInTheWorld) {
  const auto failure_of = [](const std::function<void(Communicator & tp, int world_rank)>& body) -> std::string {
    try {
      run_ranks(4, [&](Communicator& world) {
        const Mesh mesh(world, {.tp = 2});
        body(mesh.group(Group::tp), world.rank());
      });
    } catch (const CommError& e) {
      return e.what();
    }
    return "no failure";
  };
  const auto sum = [](Communicator& group, int64_t count) {
    std::vector<double> values(static_cast<size_t>(count), 1.0);
    all_reduce_on_host(group, std::span<double>(values));
  };
  const auto named =
      ::testing::AllOf(HasSubstr("the ranks of group tp disagree: rank 2 calls operation 0, all_reduce sum of 12 f64"),
                       HasSubstr("rank 3 calls operation 0, "));
  EXPECT_THAT(failure_of([&](Communicator& tp, int rank) { sum(tp, rank == 3 ? 11 : 12); }), named);
  EXPECT_THAT(failure_of([&](Communicator& tp, int rank) {
                if (rank == 3) broadcast_on_host(tp, int64_t{1}, 0);
                sum(tp, 12);
              }),
              named);
}

TEST(Mesh, OfOneRankAloneHasTheGroupsOfARealOne) {
  const MeshDegrees degrees{.tp = 2, .pp = 2, .ep = 2};
  Traffic traffic;
  std::vector<std::unique_ptr<Mesh>> dry;
  for (int rank = 0; rank < 8; ++rank) {
    dry.push_back(
        std::make_unique<Mesh>(8, rank, degrees, [&](const std::string& name, const std::vector<int>& members) {
          const auto place = std::find(members.begin(), members.end(), rank) - members.begin();
          return make_dry_group(
              {.name = name, .rank = static_cast<int>(place), .size = static_cast<int>(members.size())}, traffic);
        }));
  }
  run_ranks(8, [&](Communicator& world) {
    const Mesh mesh(world, degrees);
    const Mesh& same = *dry[static_cast<size_t>(world.rank())];
    EXPECT_EQ(same.place().degrees, mesh.place().degrees);
    EXPECT_EQ(same.place().coordinates, mesh.place().coordinates);
    for (int g = 0; g < kNumGroups; ++g) {
      const auto group = static_cast<Group>(g);
      EXPECT_EQ(same.group(group).name(), mesh.group(group).name()) << name_of(group);
      EXPECT_EQ(same.group(group).rank(), mesh.group(group).rank()) << name_of(group);
      EXPECT_EQ(same.group(group).size(), mesh.group(group).size()) << name_of(group);
      for (int h = 0; h < g; ++h) {
        const auto other = static_cast<Group>(h);
        EXPECT_EQ(&same.group(group) == &same.group(other), &mesh.group(group) == &mesh.group(other));
      }
    }
  });
}

// Four ranks of ep in two groups, beside two shards of each expert.
TEST(Mesh, DividesEpIntoGroupsOfNeighbors) {
  const auto degrees = resolve_degrees({.etp = 2, .ep = 4, .dp = 8, .ep_groups = 2}, 8);
  EXPECT_THAT(members_of(Group::ep, 3, degrees), ElementsAre(1, 3, 5, 7));
  EXPECT_THAT(members_of(Group::ep_within, 3, degrees), ElementsAre(1, 3));
  EXPECT_THAT(members_of(Group::ep_across, 3, degrees), ElementsAre(3, 7));
  EXPECT_EQ(coordinates_of(5, degrees)[static_cast<size_t>(Axis::ep_group)], 1);
}

TEST(Mesh, CoordinatesNameEveryRankOnce) {
  const auto degrees = resolve_degrees({.tp = 2, .cp = 3, .pp = 2, .etp = 2, .ep = 3, .engram = 6, .dp = 2}, 24);
  EXPECT_THAT(degrees, ElementsAre(2, 3, 2, 2, 2, 3, 2, 6, 1));
  for (int rank = 0; rank < 24; ++rank) {
    const auto c = coordinates_of(rank, degrees);
    EXPECT_EQ(c[0] + 2 * (c[1] + 3 * (c[2] + 2 * c[3])), rank);
    EXPECT_EQ(c[4] + 2 * (c[5] + 3 * c[6]), rank % 12);
  }
}

std::string refusal(MeshDegrees degrees, int world) {
  try {
    resolve_degrees(degrees, world);
  } catch (const UserError& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Mesh, RefusesAWrongProductWithTheTable) {
  MeshDegrees degrees;
  degrees.tp = 2, degrees.dp = 2;
  EXPECT_EQ(refusal(degrees, 4), "accepted");
  EXPECT_THAT(refusal(degrees, 6), HasSubstr("the parallel degrees do not fit 6 ranks:\n  axis    degree  needs"));
  degrees.dp = 0;
  EXPECT_THAT(refusal(degrees, 3), HasSubstr("do not fit 3 ranks"));
  degrees.ep = 3;
  EXPECT_THAT(refusal(degrees, 4), HasSubstr("etp x ep does not divide the 4 ranks of a stage"));
  degrees.ep = 1, degrees.engram = 3;
  EXPECT_THAT(refusal(degrees, 4), HasSubstr("engram does not divide"));
  degrees.tp = 0;
  EXPECT_THAT(refusal(degrees, 4), HasSubstr("at least 1"));
}

}  // namespace
}  // namespace birkhoff

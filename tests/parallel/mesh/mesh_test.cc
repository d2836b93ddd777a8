#include "parallel/mesh/mesh.h"

#include <vector>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "tests/support/host_stream.h"
#include "tests/support/run_ranks.h"

namespace birkhoff {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

// World ranks of the group of this rank along an axis.
std::vector<int32_t> members(const Mesh& mesh, Axis axis) {
  Communicator& group = mesh.along(axis);
  int32_t mine = mesh.world().rank();
  std::vector<int32_t> all(static_cast<size_t>(group.size()));
  const std::vector<int64_t> counts(all.size(), 1);
  wait_on_host(
      group.all_gather_v(host_stream(), {all.data(), DType::i32, {group.size()}}, {&mine, DType::i32, {1}}, counts));
  return all;
}

TEST(Mesh, WorldOfOneHasEveryAxis) {
  run_ranks(1, [](Communicator& world) {
    const Mesh mesh(world, {});
    EXPECT_EQ(mesh.describe(), "1");
    for (int a = 0; a < kNumAxes; ++a) EXPECT_EQ(mesh.along(static_cast<Axis>(a)).size(), 1);
  });
}

TEST(Mesh, DpTakesWhatTheOthersLeave) {
  run_ranks(3, [](Communicator& world) {
    const Mesh mesh(world, {});
    EXPECT_EQ(mesh.describe(), "dp3");
    EXPECT_THAT(members(mesh, Axis::dp), ElementsAre(0, 1, 2));
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
    EXPECT_THAT(members(mesh, Axis::tp), ElementsAre(r / 2 * 2, r / 2 * 2 + 1));
    EXPECT_THAT(members(mesh, Axis::dp), ElementsAre(stage + r % 2, stage + r % 2 + 2));
    EXPECT_THAT(members(mesh, Axis::pp), ElementsAre(r % 4, r % 4 + 4));
    EXPECT_THAT(members(mesh, Axis::ep), ElementsAre(stage, stage + 1, stage + 2, stage + 3));
    EXPECT_THAT(members(mesh, Axis::edp), ElementsAre(r));
  });
}

TEST(Mesh, CoordinatesNameEveryRankOnce) {
  const auto degrees = resolve_degrees({.tp = 2, .cp = 3, .pp = 2, .etp = 2, .ep = 3, .engram = 6, .dp = 2}, 24);
  EXPECT_THAT(degrees, ElementsAre(2, 3, 2, 2, 2, 3, 2, 6));
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

#include "parallel/shard/division.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/shard/cover.h"

namespace birkhoff {
namespace {

using testing::ElementsAre;

// A rank of a stage whose other coordinates do not matter.
Place at(Axis axis, int degree, int coordinate) {
  Place place;
  place.degrees.fill(1);
  place.degrees[static_cast<size_t>(axis)] = degree;
  place.coordinates[static_cast<size_t>(axis)] = coordinate;
  return place;
}

Division divided(const Blocks& blocks, std::vector<Cut> cuts) {
  Division division;
  division.blocks = blocks;
  division.cuts = std::move(cuts);
  return division;
}

TEST(Division, WithoutCutsEveryRankHoldsAll) {
  const Held held = held_by(at(Axis::tp, 3, 2), {4, 6}, {});
  EXPECT_TRUE(held.slice == Slice::all({4, 6}));
  EXPECT_EQ(held.shape, (Shape{4, 6}));
}

// Seven rows of a vocabulary over three ranks: the ranks' numbers of rows differ by one.
TEST(Division, RowsThatDoNotDivideDifferByOne) {
  const Division rows = divided({}, {{0, Axis::tp}});
  std::vector<Box> boxes;
  for (int rank = 0; rank < 3; ++rank) {
    const Held held = held_by(at(Axis::tp, 3, rank), {7, 2}, rows);
    EXPECT_EQ(held.shape, (Shape{rank == 2 ? 3 : 2, 2}));
    boxes.push_back(held.slice.boxes.at(0));
  }
  EXPECT_EQ(find_cover_defect({7, 2}, boxes), "");
  EXPECT_EQ(held_by(at(Axis::ep, 3, 1), {7, 2}, rows).shape, (Shape{7, 2})) << "cut over another axis";
}

TEST(Division, OfGateAndUpIsAShareOfEach) {
  const Division gate_up = divided({0, 1, {4, 4}}, {{0, Axis::tp}});
  const Held held = held_by(at(Axis::tp, 2, 1), {8, 3}, gate_up);
  EXPECT_THAT(held.slice.boxes, ElementsAre(Box{{2, 0}, {2, 3}}, Box{{6, 0}, {2, 3}}));
  EXPECT_EQ(held.shape, (Shape{4, 3}));
}

TEST(Division, OfHeadsKeepsEachWhole) {
  const Division interleaved = divided({0, 4, {2, 1}}, {{0, Axis::tp}});  // [nope | rope] by heads
  EXPECT_THAT(held_by(at(Axis::tp, 2, 1), {12, 5}, interleaved).slice.boxes, ElementsAre(Box{{6, 0}, {6, 5}}));
  const Division keys_values = divided({0, 1, {6, 6}}, {{0, Axis::tp, 2}});  // three heads of two rows each
  EXPECT_THAT(held_by(at(Axis::tp, 2, 0), {12, 5}, keys_values).slice.boxes,
              ElementsAre(Box{{0, 0}, {2, 5}}, Box{{6, 0}, {2, 5}}));
  EXPECT_THROW(held_by(at(Axis::tp, 2, 0), {10, 5}, divided({0, 1, {5, 5}}, {{0, Axis::tp, 2}})), BugError);
}

TEST(Division, OfExpertsIsByExpertAndWithinIt) {
  const Division up = divided({1, 1, {2, 2}}, {{0, Axis::ep}, {1, Axis::etp}});
  Place place = at(Axis::ep, 2, 1);
  place.degrees[static_cast<size_t>(Axis::etp)] = 2;
  const Held held = held_by(place, {4, 4, 3}, up);
  EXPECT_EQ(held.shape, (Shape{2, 2, 3}));
  EXPECT_THAT(held.slice.boxes, ElementsAre(Box{{2, 0, 0}, {1, 1, 3}}, Box{{2, 2, 0}, {1, 1, 3}},
                                            Box{{3, 0, 0}, {1, 1, 3}}, Box{{3, 2, 0}, {1, 1, 3}}));
  const Division down = divided({}, {{0, Axis::ep}, {2, Axis::etp}});
  EXPECT_THAT(held_by(place, {4, 3, 2}, down).slice.boxes, ElementsAre(Box{{2, 0, 0}, {2, 3, 1}}));
}

TEST(Division, RefusesADimThatIsCutTwice) {
  EXPECT_THROW(held_by(at(Axis::tp, 2, 0), {4}, divided({}, {{0, Axis::tp}, {0, Axis::ep}})), BugError);
}

}  // namespace
}  // namespace birkhoff

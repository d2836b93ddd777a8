#include "trainer/proof/whole.h"

#include <limits>

#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"

namespace birkhoff::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

HeldPart columns(const std::string& name, int64_t begin, int64_t count, std::vector<double> values) {
  return {name, {{2, 3}, {{{0, begin}, {2, count}}}}, std::move(values)};
}

// Assembles the parts of each rank and returns what rank 0 gets. The others must get nothing.
Whole assembled(const std::vector<std::vector<HeldPart>>& parts, Missing missing = Missing::fault) {
  std::vector<Whole> wholes(parts.size());
  run_ranks(static_cast<int>(parts.size()), [&](Communicator& world) {
    const auto rank = static_cast<size_t>(world.rank());
    wholes[rank] = assemble(world, parts[rank], missing);
  });
  for (size_t rank = 1; rank < wholes.size(); ++rank) {
    EXPECT_THAT(wholes[rank].tensors, IsEmpty());
    EXPECT_THAT(wholes[rank].faults, IsEmpty());
  }
  return wholes[0];
}

TEST(Whole, IsPutTogetherFromTheBoxesOfAllRanks) {
  const HeldPart both{"y", Slice::all({2}), {7, kNan}};
  const Whole w = assembled({{columns("x", 0, 2, {1, 2, 4, 5}), both}, {both, columns("x", 2, 1, {3, 6})}});
  EXPECT_THAT(w.faults, IsEmpty());
  EXPECT_THAT(w.tensors.at("x").values, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(w.tensors.at("x").shape, (Shape{2, 3}));
  EXPECT_EQ(w.tensors.at("y").values[0], 7);
}

TEST(Whole, JoinsSeveralPartsOfOneRank) {
  const Whole w = assembled({{columns("x", 2, 1, {3, 6}), columns("x", 0, 1, {1, 4})}, {columns("x", 1, 1, {2, 5})}});
  EXPECT_THAT(w.faults, IsEmpty());
  EXPECT_THAT(w.tensors.at("x").values, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Whole, NamesAnElementThatRanksHoldWithDifferentBits) {
  const auto part = [](double value) { return HeldPart{"y", Slice::all({3}), {1, value, 3}}; };
  EXPECT_THAT(assembled({{part(0.0)}, {part(-0.0)}}).faults, ElementsAre(HasSubstr("y: element 1 is 0 on one rank")));
  EXPECT_THAT(assembled({{part(2)}, {part(2)}, {part(2.5)}}).faults, ElementsAre(HasSubstr("2.5 on rank 2")));
}

TEST(Whole, NamesAnElementThatNoRankHolds) {
  EXPECT_THAT(assembled({{columns("x", 0, 1, {1, 4})}, {columns("x", 2, 1, {3, 6})}}).faults,
              ElementsAre("x: no rank holds element 1"));
  const Whole zeros = assembled({{columns("x", 0, 1, {1, 4})}, {}}, Missing::zero);
  EXPECT_THAT(zeros.faults, IsEmpty());
  EXPECT_THAT(zeros.tensors.at("x").values, ElementsAre(1, 0, 0, 4, 0, 0));
}

TEST(Whole, NamesATensorWhoseShapeDiffersBetweenRanks) {
  EXPECT_THAT(assembled({{{"y", Slice::all({2}), {1, 2}}}, {{"y", Slice::all({3}), {1, 2, 3}}}}).faults,
              ElementsAre(HasSubstr("y: rank 1 has the shape")));
}

TEST(Whole, MayHaveNoElements) {
  const Whole w = assembled({{{"y", {{0, 4}, {}}, {}}}, {}});
  EXPECT_THAT(w.faults, IsEmpty());
  EXPECT_EQ(w.tensors.at("y").shape, (Shape{0, 4}));
}

TEST(Whole, TellsWhatDiffersBitwise) {
  Whole a, b;
  a.tensors["x"] = {{2}, {1, 0.0}};
  b.tensors["x"] = {{2}, {1, -0.0}};
  a.tensors["only a"] = b.tensors["only b"] = {{1}, {1}};
  EXPECT_THAT(bitwise_differences(a, b), testing::SizeIs(3));
  EXPECT_THAT(bitwise_differences(a, a), IsEmpty());
}

}  // namespace
}  // namespace birkhoff::test

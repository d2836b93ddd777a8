#include "parallel/shard/slice.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

// The flat indices in the logical tensor of the elements of a slice, one by one.
std::vector<int64_t> elements_of(const Slice& slice) {
  const Box whole = Slice::all(slice.global).boxes[0];
  std::vector<int64_t> elements;
  for (int64_t i = 0; i < slice.count(); ++i) elements.push_back(whole.element_at(slice.indices_of(i)));
  return elements;
}

std::vector<int64_t> elements_of_runs(const Slice& slice) {
  std::vector<int64_t> elements;
  slice.for_each_run([&](int64_t first, int64_t local, int64_t count) {
    EXPECT_EQ(local, static_cast<int64_t>(elements.size()));
    EXPECT_GT(count, 0);
    for (int64_t i = 0; i < count; ++i) elements.push_back(first + i);
  });
  return elements;
}

TEST(Slice, APartOfATensorIsItsFlatRangeForEveryShape) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{7}, Shape{3, 4}, Shape{1, 5}, Shape{5, 1}, Shape{2, 3, 4},
                             Shape{2, 1, 3, 2}, Shape{0, 4}, Shape{3, 0}}) {
    const Slice all = Slice::all(shape);
    EXPECT_TRUE(all.whole());
    for (int64_t begin = 0; begin <= shape.count(); ++begin) {
      for (int64_t count = 0; begin + count <= shape.count(); ++count) {
        const Slice part = all.part(begin, count);
        std::vector<int64_t> expected;
        for (int64_t i = 0; i < count; ++i) expected.push_back(begin + i);
        EXPECT_EQ(elements_of(part), expected) << shape;
        EXPECT_EQ(elements_of_runs(part), expected) << shape;
        EXPECT_LE(part.boxes.size(), static_cast<size_t>(std::max(1, 2 * shape.rank() - 1))) << shape;
      }
    }
  }
}

// Two columns of the first rows, then one row: memory holds them in this order.
TEST(Slice, OfSeveralBoxesLiesOneAfterTheOther) {
  const Slice slice{{4, 5}, {{{0, 1}, {2, 2}}, {{3, 0}, {1, 5}}}};
  const std::vector<int64_t> expected{1, 2, 6, 7, 15, 16, 17, 18, 19};
  EXPECT_EQ(elements_of(slice), expected);
  EXPECT_EQ(elements_of_runs(slice), expected);
  EXPECT_FALSE(slice.whole());
  for (int64_t begin = 0; begin <= 9; ++begin) {
    for (int64_t count = 0; begin + count <= 9; ++count) {
      EXPECT_THAT(elements_of(slice.part(begin, count)),
                  ElementsAreArray(expected.begin() + begin, expected.begin() + begin + count));
    }
  }
  EXPECT_THROW(slice.part(8, 2), BugError);
  EXPECT_THROW(slice.indices_of(9), BugError);
}

// There should be as few runs as possible: whole rows form one run.
TEST(Slice, RunsAreAsLongAsTheyCanBe) {
  std::vector<int64_t> lengths;
  const auto note = [&](int64_t, int64_t, int64_t count) { lengths.push_back(count); };
  Slice{{4, 5, 2}, {{{1, 0, 0}, {2, 5, 2}}, {{0, 1, 0}, {2, 3, 2}}}}.for_each_run(note);
  EXPECT_THAT(lengths, ElementsAre(20, 6, 6));
}

TEST(Box, IntersectionIsWhatBothHold) {
  const Box a{{1, 2}, {3, 4}};
  EXPECT_EQ(intersection(a, {{0, 0}, {2, 3}}), (Box{{1, 2}, {1, 1}}));
  EXPECT_EQ(intersection(a, a), a);
  EXPECT_EQ(intersection(a, {{4, 2}, {1, 4}}), std::nullopt);
  EXPECT_EQ(intersection(a, {{1, 2}, {0, 4}}), std::nullopt);
  EXPECT_EQ(intersection(Box{}, Box{}), Box{}) << "a scalar is one element";
}

}  // namespace
}  // namespace birkhoff

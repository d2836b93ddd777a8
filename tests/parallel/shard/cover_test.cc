#include "parallel/shard/cover.h"

#include <set>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "kernels/core/philox.h"

namespace birkhoff {
namespace {

TEST(Cover, ReportsMissingAndDuplicateElements) {
  const Shape matrix{4, 5};
  EXPECT_EQ(find_cover_defect(matrix, Slice::all(matrix).boxes), "");
  EXPECT_EQ(find_cover_defect(matrix, {}), "0 of 20 elements are there; element [0, 0] is missing");
  EXPECT_EQ(find_cover_defect(matrix, {{{0, 0}, {4, 2}}, {{0, 2}, {4, 3}}}), "");
  EXPECT_EQ(find_cover_defect(matrix, {{{0, 0}, {4, 2}}, {{0, 3}, {4, 2}}}),
            "16 of 20 elements are there; element [0, 2] is missing");
  EXPECT_EQ(find_cover_defect(matrix, {{{0, 0}, {4, 3}}, {{0, 2}, {4, 2}}}), "element [0, 2] is there twice");
  EXPECT_EQ(find_cover_defect(matrix, {{{0, 0}, {4, 5}}, {{3, 4}, {1, 1}}}), "element [3, 4] is there twice");
  EXPECT_EQ(find_cover_defect(matrix, {{{0, 0}, {4, 3}}, {{2, 2}, {2, 3}}}),
            "18 of 20 elements are there; element [0, 3] is missing");
  // Four boxes around a fifth: no straight line divides them.
  EXPECT_EQ(find_cover_defect(
                {3, 3}, {{{0, 0}, {1, 2}}, {{0, 2}, {2, 1}}, {{2, 1}, {1, 2}}, {{1, 0}, {2, 1}}, {{1, 1}, {1, 1}}}),
            "");
}

TEST(Cover, KnowsScalarsAndTensorsOfNothing) {
  EXPECT_EQ(find_cover_defect({}, {{{}, {}}}), "");
  EXPECT_EQ(find_cover_defect({}, {}), "0 of 1 elements are there; element [] is missing");
  EXPECT_EQ(find_cover_defect({}, {{{}, {}}, {{}, {}}}), "element [] is there twice");
  EXPECT_EQ(find_cover_defect({0, 3}, {}), "");
  EXPECT_EQ(find_cover_defect({0, 3}, {{{0, 0}, {0, 3}}, {{0, 1}, {0, 1}}}), "");
}

TEST(Cover, DoesNotCountBeyondWhatFits) {
  const Shape most{INT64_MAX};
  EXPECT_EQ(find_cover_defect(most, {{{0}, most}, {{0}, most}}), "element [0] is there twice");
  EXPECT_EQ(find_cover_defect(most, {{{0}, {INT64_MAX - 1}}}),
            concat(INT64_MAX - 1, " of ", INT64_MAX, " elements are there; element [", INT64_MAX - 1, "] is missing"));
}

// Visiting the intervals between the borders of all dims would take n^5 steps: hours for these boxes.
TEST(Cover, AnswersInTimeThatGrowsWithTheNumberOfBoxes) {
  constexpr int64_t n = 300;
  const Shape shape{2 * n, 2 * n, 2 * n, 2 * n, n};
  std::vector<Box> boxes;
  for (int64_t i = 0; i < n; ++i) {  // a cube that shrinks from slab to slab, and the rest of the slab
    const int64_t inner = 2 * n - 2 * i;
    boxes.push_back({{i, i, i, i, i}, {inner, inner, inner, inner, 1}});
    Box rest{{0, 0, 0, 0, i}, {2 * n, 2 * n, 2 * n, 2 * n, 1}};
    for (int d = 0; d < 4; ++d) {
      for (const int64_t begin : {int64_t{0}, 2 * n - i}) {
        boxes.push_back({rest.begin.with(d, begin), rest.extent.with(d, i)});
      }
      rest = {rest.begin.with(d, i), rest.extent.with(d, inner)};
    }
  }
  EXPECT_EQ(find_cover_defect(shape, boxes), "");
  boxes[static_cast<size_t>(9 * n / 2)].extent = boxes[static_cast<size_t>(9 * n / 2)].extent.with(0, 1);
  EXPECT_THAT(find_cover_defect(shape, boxes), testing::HasSubstr(" elements are there"));
}

// Compares with a count of every element, for boxes that are cut at random and, half of the time, made wrong.
TEST(Cover, AgreesWithACountOfEveryElement) {
  const Philox random(1, 2);
  uint64_t draw = 0;
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random.below(draw++, static_cast<uint64_t>(n))); };
  int whole = 0;
  for (int round = 0; round < 400; ++round) {
    const Shape shape{1 + below(4), 1 + below(4), 1 + below(4)};
    std::vector<Box> boxes = Slice::all(shape).boxes;
    for (int cut = 0; cut < 4; ++cut) {
      Box& box = boxes[static_cast<size_t>(below(static_cast<int64_t>(boxes.size())))];
      const int dim = static_cast<int>(below(3));
      const int64_t extent = box.extent[dim], at = below(extent + 1);
      const Box rest{box.begin.with(dim, box.begin[dim] + at), box.extent.with(dim, extent - at)};
      box.extent = box.extent.with(dim, at);
      boxes.push_back(rest);
    }
    std::erase_if(boxes, [](const Box& box) { return box.count() == 0; });
    const auto which = static_cast<size_t>(below(static_cast<int64_t>(boxes.size())));
    const int dim = static_cast<int>(below(3));
    Box& box = boxes[which];
    if (round % 6 == 0 && box.begin[dim] > 0) box.begin = box.begin.with(dim, box.begin[dim] - 1);
    if (round % 6 == 2) boxes.push_back(Box(box));
    if (round % 6 == 4) boxes.erase(boxes.begin() + static_cast<std::ptrdiff_t>(which));
    std::vector<int> counts(static_cast<size_t>(shape.count()), 0);
    Slice{shape, boxes}.for_each_run([&](int64_t first, int64_t, int64_t count) {
      for (int64_t i = 0; i < count; ++i) ++counts[static_cast<size_t>(first + i)];
    });
    const bool once = std::set<int>(counts.begin(), counts.end()) == std::set<int>{1};
    EXPECT_EQ(find_cover_defect(shape, boxes).empty(), once) << "round " << round;
    whole += once;
  }
  EXPECT_GT(whole, 200);
  EXPECT_LT(whole, 267);
}

}  // namespace
}  // namespace birkhoff

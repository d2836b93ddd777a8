#include "parallel/shard/common_rows.h"

#include <numeric>

#include <gmock/gmock.h>

#include "kernels/core/arena.h"
#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "parallel/shard/division.h"

namespace birkhoff {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Place on(Axis axis, int coordinate, int degree) {
  Place place;
  place.degrees.fill(1);
  place.degrees[static_cast<size_t>(axis)] = degree;
  return place.with(axis, coordinate);
}

// The elements of a slice in memory order, each given by its number in the logical tensor.
std::vector<double> elements_of(const Slice& slice) {
  std::vector<double> elements(static_cast<size_t>(slice.count()));
  slice.for_each_run([&](int64_t first, int64_t local, int64_t count) {
    std::iota(elements.begin() + local, elements.begin() + local + count, static_cast<double>(first));
  });
  return elements;
}

TEST(CommonRows, OfColumnsAndAMatrixAreOneStridedRun) {
  const Held half = held_by(on(Axis::tp, 1, 2), {4, 6}, {.cuts = {{1, Axis::tp}}});
  const CommonRows common = common_rows(half.slice, Slice::all({4, 6}));
  EXPECT_EQ(common.count, 12);
  EXPECT_THAT(common.first, ElementsAre(StridedRows{0, 3, 4, 3}));
  EXPECT_THAT(common.second, ElementsAre(StridedRows{3, 6, 4, 3}));
}

TEST(CommonRows, OfSlicesThatShareNothingAreNone) {
  const Slice top{{4, 6}, {{{0, 0}, {2, 6}}}}, bottom{{4, 6}, {{{2, 0}, {2, 6}}}};
  const CommonRows common = common_rows(top, bottom);
  EXPECT_EQ(common.count, 0);
  EXPECT_THAT(common.first, IsEmpty());
}

TEST(CommonRows, RefuseSlicesOfTensorsOfOtherShapes) {
  EXPECT_THROW(common_rows(Slice::all({4, 6}), Slice::all({6, 4})), BugError);
}

struct Case {
  const char* name;
  Axis axis;
  Shape shape;
  Division division;
  Slice whole;  // the matrix that the ranks along the axis hold in parts
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class DividedMatrices : public testing::TestWithParam<Case> {};

// What the ranks pack of their parts and unpack into the matrix is the whole matrix, and the way back restores the
// parts.
TEST_P(DividedMatrices, AreBroughtTogetherAndGivenBack) {
  const Case& c = GetParam();
  Arena arena({});
  Stream stream;
  for (const int ranks : {1, 2, 3}) {
    const Tensor matrix = arena.take(DType::f32, {c.whole.count()});
    fill(stream, matrix, -1);
    int64_t sum = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const Slice held = held_by(on(c.axis, rank, ranks), c.shape, c.division).slice;
      const CommonRows common = common_rows(held, c.whole);
      const Tensor local = arena.take(DType::f32, {held.count()}), packed = arena.take(DType::f32, {common.count});
      write_values(stream, local, elements_of(held));
      pack(stream, packed, local, common.first);
      unpack(stream, matrix, packed, common.second);
      const Tensor back = arena.take(DType::f32, {held.count()});
      copy(stream, back, local);
      fill(stream, packed, 0);
      pack(stream, packed, matrix, common.second);
      unpack(stream, back, packed, common.first);
      EXPECT_EQ(read_values(stream, back), elements_of(held)) << "rank " << rank << " of " << ranks;
      sum += common.count;
    }
    EXPECT_EQ(sum, c.whole.count()) << ranks;
    EXPECT_EQ(read_values(stream, matrix), elements_of(c.whole)) << ranks;
  }
}

std::vector<Case> cases() {
  const Division experts_up{{1, 1, {5, 5}}, {{0, Axis::ep}, {1, Axis::etp}}};
  return {{"rows", Axis::tp, {7, 4}, {.cuts = {{0, Axis::tp}}}, Slice::all({7, 4})},
          {"columns", Axis::tp, {4, 7}, {.cuts = {{1, Axis::tp}}}, Slice::all({4, 7})},
          {"the_second_block", Axis::tp, {10, 3}, {{0, 1, {5, 5}}, {{0, Axis::tp}}}, {{10, 3}, {{{5, 0}, {5, 3}}}}},
          {"values_that_alternate_with_keys_by_head",
           Axis::tp,
           {12, 5},
           {{0, 4, {2, 1}}, {{0, Axis::tp}}},
           {{12, 5}, {{{2, 0}, {1, 5}}, {{5, 0}, {1, 5}}, {{8, 0}, {1, 5}}, {{11, 0}, {1, 5}}}}},
          {"up_of_an_expert", Axis::etp, {3, 10, 4}, experts_up, {{3, 10, 4}, {{{1, 5, 0}, {1, 5, 4}}}}},
          {"down_of_an_expert",
           Axis::etp,
           {3, 4, 5},
           {.cuts = {{0, Axis::ep}, {2, Axis::etp}}},
           {{3, 4, 5}, {{{2, 0, 0}, {1, 4, 5}}}}}};
}
INSTANTIATE_TEST_SUITE_P(All, DividedMatrices, testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace birkhoff

#include "parallel/comm/dry/dry_group.h"

#include <gmock/gmock.h>

#include "kernels/core/arena.h"
#include "kernels/core/error.h"
#include "parallel/comm/host_values.h"
#include "tests/support/host_stream.h"

namespace birkhoff {
namespace {

using testing::ElementsAre;
using testing::Pair;

Tensor meta(int64_t count, DType dtype = DType::f32) {
  static Arena arena{Device{DeviceKind::meta, 0}};
  return arena.take(dtype, {count});
}

// Rank 1 of three ranks has the middle block of 2, 3 and 5 elements.
TEST(DryGroup, CountsWhatTheRankWouldSend) {
  Traffic traffic;
  const auto group = make_dry_group({.name = "dp", .rank = 1, .size = 3}, traffic);
  Stream stream{{DeviceKind::meta, 0}};
  const std::vector<int64_t> counts{2, 3, 5};
  const auto sent = [&](Communicator::Pending work) {
    work->wait(stream);
    return std::exchange(traffic, {})["dp"] / 4;
  };
  EXPECT_EQ(sent(group->reduce_scatter_v(stream, meta(3), meta(10), counts)), 2 + 5);
  EXPECT_EQ(sent(group->all_gather_v(stream, meta(10), meta(3), counts)), 2 * 3);
  EXPECT_EQ(sent(group->all_to_all_v(stream, meta(9), std::vector<int64_t>{1, 3, 5}, meta(10), counts)), 2 + 5);
  // Blocks of 3, 3 and 4: two blocks to their sums, and the sum of the own block to two ranks.
  EXPECT_EQ(sent(group->all_reduce(stream, meta(10))), 3 + 4 + 2 * 3);
  EXPECT_EQ(sent(group->broadcast(stream, meta(10), 1)), 2 * 10);
  EXPECT_EQ(sent(group->broadcast(stream, meta(10), 0)), 0);
  EXPECT_EQ(sent(group->send(stream, meta(10), 2, 0)), 10);
  EXPECT_EQ(sent(group->recv(stream, meta(10), 2, 0)), 0);
}

TEST(DryGroup, CountsBytesByGroupAndNothingOfOneRank) {
  Traffic traffic;
  const auto tp = make_dry_group({.name = "tp", .rank = 0, .size = 2}, traffic);
  const auto dp = make_dry_group({.name = "dp", .rank = 1, .size = 2}, traffic);
  const auto alone = make_dry_group({.name = "pp"}, traffic);
  Stream stream{{DeviceKind::meta, 0}};
  for (Communicator* group : {tp.get(), dp.get(), dp.get(), alone.get()}) {
    group->all_reduce(stream, meta(8, DType::f64))->wait(stream);
  }
  EXPECT_THAT(traffic, ElementsAre(Pair("dp", 2 * 8 * 8), Pair("tp", 8 * 8)));
}

TEST(DryGroup, ReducesValuesOfTheHostToThoseOfTheRank) {
  Traffic traffic;
  const auto group = make_dry_group({.name = "dp", .rank = 1, .size = 3}, traffic);
  EXPECT_EQ(all_reduce_on_host(*group, int64_t{7}), 7);
  EXPECT_THROW(all_gather_on_host(*group, int64_t{7}), BugError);
  EXPECT_THROW(group->split(0, 0, "half"), BugError);
}

}  // namespace
}  // namespace birkhoff

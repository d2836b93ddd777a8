#include "kernels/moe/destinations.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// The same on both devices.
std::vector<double> result_of(const OpCase& c, const char* name) {
  const std::vector<double> cpu = c.result(Device{}, DType::f32, name);
  EXPECT_EQ(cpu, c.result({DeviceKind::reference, 0}, DType::f32, name));
  return cpu;
}

// Four tokens with two of twelve experts each; the third token is padding.
OpCase tokens(Shape to) {
  OpCase c;
  c.index("index", {0, 11, 4, 5, 6, 7, 9, -1}, DType::i32, {4, 2});
  c.index("mask", {1, 1, 0, 1}, DType::u8, {4});
  c.index_output("to", to);
  return c;
}

TEST(PairDestinations, AreTheRanksThatHoldTheExperts) {
  OpCase c = tokens({4, 2});
  c.forward([](Stream& s, const Tensors& t) {
    pair_destinations(
        s, {.to = t["to"], .index = t["index"], .token_mask = t["mask"], .first = 0, .each = 3, .num_ranks = 4});
  });
  EXPECT_THAT(result_of(c, "to"), ElementsAre(0, 3, 1, 1, -1, -1, 3, -1));
}

TEST(PairDestinations, LeaveOutExpertsOfOtherRanks) {
  OpCase c = tokens({4, 2});
  c.forward([](Stream& s, const Tensors& t) {
    pair_destinations(s, {.to = t["to"], .index = t["index"], .token_mask = {}, .first = 4, .each = 2, .num_ranks = 3});
  });
  EXPECT_THAT(result_of(c, "to"), ElementsAre(-1, -1, 0, 0, 1, 1, 2, -1));
}

TEST(TokenDestinations, NameARankOnce) {
  OpCase c = tokens({4, 3});
  c.forward([](Stream& s, const Tensors& t) {
    token_destinations(s, {.to = t["to"], .index = t["index"], .token_mask = t["mask"], .first = 0, .each = 4});
  });
  EXPECT_THAT(result_of(c, "to"), ElementsAre(0, -1, 2, -1, 1, -1, -1, -1, -1, -1, -1, 2));
}

TEST(OwnExperts, AreNumberedFromTheFirst) {
  OpCase c;
  c.index("index", {0, 11, 4, 5, -1, 3}, DType::i32, {3, 2}).index_output("own", {3, 2});
  c.forward([](Stream& s, const Tensors& t) { own_experts(s, {t["own"], t["index"], 4, 2}); });
  EXPECT_THAT(result_of(c, "own"), ElementsAre(-1, -1, 0, 1, -1, -1));
}

TEST(Destinations, OfNoTokens) {
  OpCase c;
  c.index("index", {}, DType::i32, {0, 2}).index_output("to", {0, 2}).index_output("ranks", {0, 3});
  c.forward([](Stream& s, const Tensors& t) {
    pair_destinations(s, {.to = t["to"], .index = t["index"], .token_mask = {}, .num_ranks = 3});
    token_destinations(s, {.to = t["ranks"], .index = t["index"], .token_mask = {}});
    own_experts(s, {t["to"], t["to"]});
  });
  EXPECT_THAT(result_of(c, "to"), IsEmpty());
  EXPECT_THAT(result_of(c, "ranks"), IsEmpty());
}

TEST(Destinations, RefuseShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor index = arena.take(DType::i32, {4, 2}), to = arena.take(DType::i32, {3, 2});
  EXPECT_THROW(pair_destinations(stream, {.to = to, .index = index, .token_mask = {}}), UserError);
  EXPECT_THROW(token_destinations(stream, {.to = to, .index = index, .token_mask = {}}), UserError);
  EXPECT_THROW(own_experts(stream, {to, index}), UserError);
  EXPECT_THROW(own_experts(stream, {index, index, 0, 0}), UserError);
  const Tensor mask = arena.take(DType::u8, {3});
  EXPECT_THROW(pair_destinations(stream, {.to = index, .index = index, .token_mask = mask}), UserError);
}

}  // namespace
}  // namespace birkhoff::test

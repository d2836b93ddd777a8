#include "kernels/core/philox.h"

#include <cmath>

#include <gtest/gtest.h>

namespace birkhoff::test {
namespace {

struct Known {
  uint64_t counter_low, counter_high, key;
  std::array<uint32_t, 4> expected;
};

// Published with Random123 (kat_vectors, philox4x32, 10 rounds). The counter is (index, key of the use); the key is the
// seed.
TEST(Philox, GivesThePublishedBlocks) {
  const Known known[] = {
      {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {~0ull, ~0ull, ~0ull, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {0x85a308d3243f6a88, 0x0370734413198a2e, 0x299f31d0a4093822, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
  for (const Known& k : known) EXPECT_EQ(Philox(k.key, k.counter_high).block(k.counter_low), k.expected);
}

TEST(Philox, UniformIsTheFirstHalfOfABlock) {
  // 0xe169c58d6627e8d5, its upper 53 bits over 2^53.
  EXPECT_EQ(Philox(0, 0).uniform(0), static_cast<double>(0xe169c58d6627e8d5u >> 11) * 0x1p-53);
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_GE(Philox(3, 4).uniform(i), 0);
    EXPECT_LT(Philox(3, 4).uniform(i), 1);
  }
}

TEST(Philox, NormalHasTheMomentsOfANormal) {
  constexpr int kCount = 100000;
  double sums[4] = {};
  for (uint64_t i = 0; i < kCount; ++i) {
    const double x = Philox(1, 2).normal(i);
    for (int power = 0; power < 4; ++power) sums[power] += std::pow(x, power + 1) / kCount;
  }
  // Five standard deviations of each moment's estimate: sqrt(1, 2, 15, 96) / sqrt(count).
  const double expected[] = {0, 1, 0, 3}, variance[] = {1, 2, 15, 96};
  for (int power = 0; power < 4; ++power) {
    EXPECT_NEAR(sums[power], expected[power], 5 * std::sqrt(variance[power] / kCount)) << power + 1;
  }
}

TEST(Philox, BelowReachesEveryValueAndNoOther) {
  std::array<int, 7> seen{};
  for (uint64_t i = 0; i < 7000; ++i) ++seen.at(Philox(5, 6).below(i, 7));
  for (int count : seen) EXPECT_NEAR(count, 1000, 5 * std::sqrt(1000.0 * 6 / 7));
  EXPECT_EQ(Philox(5, 6).below(3, 1), 0u);
}

TEST(Philox, DependsOnSeedKeyAndIndex) {
  const auto block = Philox(1, 2).block(3);
  EXPECT_NE(Philox(2, 2).block(3), block);
  EXPECT_NE(Philox(1, 3).block(3), block);
  EXPECT_NE(Philox(1, 2).block(4), block);
  EXPECT_EQ(key_of(""), 0xcbf29ce484222325u);   // FNV-1a, 64 bits: the published offset basis,
  EXPECT_EQ(key_of("a"), 0xaf63dc4c8601ec8cu);  // and the value of "a"
}

}  // namespace
}  // namespace birkhoff::test

#include "kernels/core/cpu/convert.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace birkhoff::test {
namespace {

// Normal numbers of every size and sign, with mantissas that need every kind of rounding.
std::vector<float> numbers(size_t count) {
  std::vector<float> out(count);
  uint32_t u = 12345;
  for (float& x : out) {
    u = u * 1664525u + 1013904223u;
    const uint32_t exponent = 1 + (u >> 8) % 253;
    x = std::bit_cast<float>((u & 0x80000000u) | exponent << 23 | (u & 0xffffu) << 7);
  }
  return out;
}

TEST(Convert, RoundsToNearestEvenForEveryLength) {
  for (const size_t count : {0u, 1u, 15u, 16u, 37u, 4096u}) {
    const std::vector<float> from = numbers(count);
    std::vector<bfloat16> to(count);
    cpu::convert(to.data(), from.data(), static_cast<int64_t>(count));
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(to[i].bits, bfloat16(from[i]).bits) << from[i];
  }
}

TEST(Convert, KeepsZeroInfinityAndNaN) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> from{0.0f, -0.0f, kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()};
  std::vector<bfloat16> to(from.size());
  cpu::convert(to.data(), from.data(), static_cast<int64_t>(from.size()));
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(to[i].bits, bfloat16(from[i]).bits) << from[i];
  EXPECT_TRUE(std::isnan(static_cast<float>(to[4])));
}

// Threads may cut a range anywhere.
TEST(Convert, GivesTheSameWhereverARangeEnds) {
  std::vector<float> from = numbers(64);
  for (size_t i = 0; i < from.size(); i += 2) from[i] = std::bit_cast<float>(static_cast<uint32_t>(0x00700000u + i));
  std::vector<bfloat16> whole(from.size()), parts(from.size());
  cpu::convert(whole.data(), from.data(), 64);
  for (size_t begin = 0; begin < 64; begin += 5) {
    const size_t count = std::min<size_t>(5, 64 - begin);
    cpu::convert(parts.data() + begin, from.data() + begin, static_cast<int64_t>(count));
  }
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(parts[i].bits, whole[i].bits) << from[i];
}

TEST(Convert, WidensExactly) {
  std::vector<bfloat16> from(65536);
  for (size_t i = 0; i < from.size(); ++i) from[i].bits = static_cast<uint16_t>(i);
  std::vector<float> to(from.size());
  cpu::convert(to.data(), from.data(), static_cast<int64_t>(from.size()));
  for (size_t i = 0; i < from.size(); ++i) EXPECT_EQ(std::bit_cast<uint32_t>(to[i]), i << 16);
}

}  // namespace
}  // namespace birkhoff::test

#include "kernels/core/cpu/simd.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace birkhoff::test {
namespace {

TEST(Simd, ExponentialIsWithinItsBoundOverItsWholeRange) {
  double worst = 0;
  for (double x = -87.29; x < 88.72; x += 1e-3) {
    const float argument = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(argument));
    worst = std::max(worst, std::abs(static_cast<double>(exp_f32(argument)) - exact) / exact);
  }
  EXPECT_LE(worst, 3e-7);
}

TEST(Simd, ExponentialGivesZeroInfinityAndNaNOutsideItsRange) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float x : {-87.3f, -1000.0f, -kInfinity}) EXPECT_EQ(exp_f32(x), 0.0f) << x;
  for (const float x : {88.73f, 1000.0f, kInfinity}) EXPECT_EQ(exp_f32(x), kInfinity) << x;
  EXPECT_TRUE(std::isnan(exp_f32(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_EQ(exp_f32(0.0f), 1.0f);
}

}  // namespace
}  // namespace birkhoff::test

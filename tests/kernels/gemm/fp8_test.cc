#include "kernels/gemm/fp8.h"

#include <array>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/core/philox.h"

namespace birkhoff::test {
namespace {

// A code's value from the format's definition alone.
double value_of(int code) {
  const int sign = code >> 7, exponent = code >> 3 & 15, mantissa = code & 7;
  if ((code & 0x7f) == 0x7f) return std::numeric_limits<double>::quiet_NaN();
  const double magnitude =
      exponent == 0 ? mantissa / 8.0 * std::pow(2.0, -6) : (1 + mantissa / 8.0) * std::pow(2.0, exponent - 7);
  return sign ? -magnitude : magnitude;
}

// The nearest code, found by exhaustive search; of two equally near ones, the one with an even mantissa.
int nearest_code(double value) {
  int best = -1;
  for (int code = 0; code < 256; ++code) {
    if ((code & 0x7f) == 0x7f || (code >> 7) != (std::signbit(value) ? 1 : 0)) continue;
    const double d = std::abs(value_of(code) - value);
    const double e = best < 0 ? INFINITY : std::abs(value_of(best) - value);
    if (d < e || (d == e && code % 2 == 0)) best = code;
  }
  return best;
}

TEST(Fp8, DecodesTheTableOfTheStandard) {
  for (int code = 0; code < 256; ++code) {
    const float decoded = e4m3_decode(static_cast<uint8_t>(code));
    if (std::isnan(value_of(code))) {
      EXPECT_TRUE(std::isnan(decoded)) << code;
    } else {
      EXPECT_EQ(decoded, value_of(code)) << code;
      EXPECT_EQ(e4m3_encode(decoded), code);
    }
  }
  EXPECT_EQ(e4m3_decode(0x7e), 448.0f);
  EXPECT_EQ(e4m3_decode(0x01), 0x1p-9f);
  EXPECT_EQ(e4m3_decode(0x08), 0x1p-6f);
  EXPECT_TRUE(std::isnan(e4m3_decode(0x7f)));
  EXPECT_TRUE(std::isnan(e4m3_decode(0xff)));
}

TEST(Fp8, EncodesToTheNearestWithTiesToEven) {
  std::vector<double> values;
  for (int code = 0; code + 1 < 0x7f; ++code) {
    const double low = value_of(code), high = value_of(code + 1), middle = (low + high) / 2;
    for (const double v : {low, middle, std::nextafter(middle, 0.0), std::nextafter(middle, 1e9)}) {
      values.push_back(static_cast<double>(static_cast<float>(v)));
    }
  }
  const Philox random(1, 2);
  for (uint64_t i = 0; i < 20000; ++i)
    values.push_back(static_cast<float>(random.normal(i) * std::exp2(i % 24 - 14.0)));
  for (const double v : values) {
    EXPECT_EQ(e4m3_encode(static_cast<float>(v)), nearest_code(v)) << v;
    EXPECT_EQ(e4m3_encode(static_cast<float>(-v)), nearest_code(-v)) << -v;
  }
}

TEST(Fp8, SaturatesAndKeepsNaN) {
  for (const float v : {448.0f, 460.0f, 464.0f, 1e30f, std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(e4m3_encode(v), 0x7e);
    EXPECT_EQ(e4m3_encode(-v), 0xfe);
  }
  EXPECT_EQ(e4m3_encode(std::numeric_limits<float>::quiet_NaN()) & 0x7f, 0x7f);
  EXPECT_EQ(e4m3_encode(0x1p-10f), 0);                        // halfway to the smallest: to even
  EXPECT_EQ(e4m3_encode(std::nextafter(0x1p-10f, 1.0f)), 1);  // above it
}

TEST(Fp8, PowerOfTwoScalesRoundUp) {
  EXPECT_EQ(ue8m0_encode_up(1.0f), 127);
  EXPECT_EQ(ue8m0_encode_up(std::nextafter(1.0f, 2.0f)), 128);
  EXPECT_EQ(ue8m0_encode_up(0.75f), 127);
  EXPECT_EQ(ue8m0_encode_up(0x1p-127f), 0);
  EXPECT_EQ(ue8m0_encode_up(std::numeric_limits<float>::quiet_NaN()), 0xff);
  EXPECT_EQ(ue8m0_decode(127), 1.0f);
  EXPECT_EQ(ue8m0_decode(0), 0x1p-127f);
  EXPECT_EQ(ue8m0_decode(254), 0x1p127f);
  EXPECT_TRUE(std::isnan(ue8m0_decode(255)));
  const Philox random(3, 4);
  for (uint64_t i = 0; i < 1000; ++i) {
    const float scale = static_cast<float>(std::exp2(random.normal(i) * 20));
    const float up = ue8m0_decode(ue8m0_encode_up(scale));
    EXPECT_GE(up, scale);
    EXPECT_LT(up / 2, scale);
  }
}

TEST(Fp8, ScaleMapsTheLargestMagnitudeTo448) {
  EXPECT_EQ(fp8_scale(448.0f), 1.0f);
  EXPECT_EQ(fp8_scale(0.0f), 1e-4f / 448.0f);
  EXPECT_EQ(fp8_scale(449.0f, ScaleFormat::ue8m0), 2.0f);
  EXPECT_EQ(fp8_scale(448.0f, ScaleFormat::ue8m0), 1.0f);
}

}  // namespace
}  // namespace birkhoff::test

#include "kernels/norm/layernorm.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

OpCase layernorm_case(int64_t T, int64_t C) {
  OpCase c;
  c.activation("x", {T, C}).parameter("weight", {C}, normal(3, 0.2, 1)).parameter("bias", {C});
  c.output("y", {T, C}).statistic_output("mean", {T}).statistic_output("rstd", {T});
  c.forward([](Stream& s, const Tensors& t) {
    layernorm_forward(s, {.y = t["y"],
                          .mean = t["mean"],
                          .rstd = t["rstd"],
                          .x = t["x"],
                          .weight = t["weight"],
                          .bias = t["bias"],
                          .eps = 1e-5f});
  });
  c.backward([](Stream& s, const Tensors& t) {
    layernorm_backward(s, {.dx = t["d_x"],
                           .dweight = t["d_weight"],
                           .dbias = t["d_bias"],
                           .dy = t["d_y"],
                           .x = t["x"],
                           .weight = t["weight"],
                           .mean = t["mean"],
                           .rstd = t["rstd"]});
  });
  return c;
}

class LayerNorm : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(LayerNorm, CpuEqualsReference) {
  const auto [T, C] = GetParam();
  layernorm_case(T, C).expect_cpu_equals_reference(C + T, 2);
}

TEST_P(LayerNorm, BackwardMatchesFiniteDifferences) {
  const auto [T, C] = GetParam();
  layernorm_case(T, C).expect_gradients({"x", "weight", "bias"}, {"y"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, LayerNorm,
                         testing::Values(std::pair{0, 8}, std::pair{1, 3}, std::pair{3, 7}, std::pair{130, 65}));

// A single channel is its own mean, so y is the bias. dx = rstd (g - mean(g)) is zero except for the rounding of g = dy
// * weight, which rstd = 1 / sqrt(eps) magnifies.
TEST(LayerNorm, OfOneChannelGivesTheBiasAndNoGradientToX) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto value = [&](const char* name) { return layernorm_case(1, 1).result(Device{}, dtype, name)[0]; };
    EXPECT_EQ(value("mean"), value("x"));
    EXPECT_NEAR(value("rstd"), 1 / std::sqrt(1e-5), 1e-4);
    EXPECT_NEAR(value("y"), value("bias"), bound(dtype, 1) * std::abs(value("bias")));
    EXPECT_NEAR(value("d_x"), 0, value("rstd") * 0x1p-24 * std::abs(value("d_y") * value("weight")));
    EXPECT_EQ(value("d_weight"), 0);
    EXPECT_EQ(value("d_bias"), value("d_y"));
  }
}

TEST(LayerNorm, NormalizesARowByHand) {
  OpCase c;
  c.parameter("x", {1, 3}, [](int64_t i) { return static_cast<double>(i + 1); });
  c.parameter("weight", {3}, constant(2)).parameter("bias", {3}, constant(1));
  c.output_f32("y", {1, 3}).statistic_output("mean", {1}).statistic_output("rstd", {1});
  c.forward([](Stream& s, const Tensors& t) {
    layernorm_forward(s, {.y = t["y"],
                          .mean = t["mean"],
                          .rstd = t["rstd"],
                          .x = t["x"],
                          .weight = t["weight"],
                          .bias = t["bias"],
                          .eps = 0.0f});
  });
  const auto y = c.result(Device{}, DType::f32, "y");  // 1 + 2 (x - 2) sqrt(3/2)
  EXPECT_NEAR(y[0], -1.4494897, 1e-6);
  EXPECT_NEAR(y[1], 1, 1e-6);
  EXPECT_NEAR(y[2], 3.4494897, 1e-6);
}

TEST(LayerNorm, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  auto take = [&](Shape shape) { return arena.take(DType::f32, shape); };
  EXPECT_THROW(layernorm_forward(stream, {.y = take({2, 4}),
                                          .mean = take({2}),
                                          .rstd = take({2}),
                                          .x = take({2, 4}),
                                          .weight = take({5}),
                                          .bias = take({4})}),
               UserError);
}

}  // namespace
}  // namespace birkhoff::test

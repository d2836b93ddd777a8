#include "kernels/norm/layernorm.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase layernorm_case(int64_t T, int64_t C) {
  OpCase c;
  c.activation("x", {T, C}).parameter("weight", {C}, normal(3, 0.2, 1)).parameter("bias", {C});
  c.output("y", {T, C}).statistic_output("mean", {T}).statistic_output("rstd", {T});
  c.forward([](Stream& s, const Tensors& t) {
    layernorm_forward(s, {t["y"], t["mean"], t["rstd"], t["x"], t["weight"], t["bias"], 1e-5f});
  });
  c.backward([](Stream& s, const Tensors& t) {
    layernorm_backward(s, {t["d_x"], t["d_weight"], t["d_bias"], t["d_y"], t["x"], t["weight"], t["mean"], t["rstd"]});
  });
  return c;
}

class LayerNorm : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(LayerNorm, CpuEqualsReference) {
  const auto [T, C] = GetParam();
  const double slack = C == 1 ? 320 : 2;  // one channel: dx is what rounding leaves, times 1 / sqrt(eps)
  layernorm_case(T, C).expect_cpu_equals_reference(C + T, slack);
}

TEST_P(LayerNorm, BackwardMatchesFiniteDifferences) {
  const auto [T, C] = GetParam();
  layernorm_case(T, C).expect_gradients({"x", "weight", "bias"}, {"y"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, LayerNorm,
                         testing::Values(std::pair{0, 8}, std::pair{1, 1}, std::pair{3, 7}, std::pair{130, 65}));

TEST(LayerNorm, NormalisesARowByHand) {
  OpCase c;
  c.parameter("x", {1, 3}, [](int64_t i) { return static_cast<double>(i + 1); });
  c.parameter("weight", {3}, constant(2)).parameter("bias", {3}, constant(1));
  c.output_f32("y", {1, 3}).statistic_output("mean", {1}).statistic_output("rstd", {1});
  c.forward([](Stream& s, const Tensors& t) {
    layernorm_forward(s, {t["y"], t["mean"], t["rstd"], t["x"], t["weight"], t["bias"], 0.0f});
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
  EXPECT_THROW(layernorm_forward(stream, {take({2, 4}), take({2}), take({2}), take({2, 4}), take({5}), take({4})}),
               UserError);
}

}  // namespace
}  // namespace birkhoff::test

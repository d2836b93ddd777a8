#include "kernels/norm/rmsnorm.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase rmsnorm_case(int64_t T, int64_t C, bool weighted) {
  OpCase c;
  c.activation("x", {T, C}).output("y", {T, C}).statistic_output("rstd", {T});
  if (weighted) c.parameter("gain", {C}, normal(3, 0.2, 1));
  c.forward([](Stream& s, const Tensors& t) { rmsnorm_forward(s, {t["y"], t["rstd"], t["x"], t["gain"], 1e-6f}); });
  c.backward([](Stream& s, const Tensors& t) {
    rmsnorm_backward(
        s, {.dx = t["d_x"], .dgain = t["d_gain"], .dy = t["d_y"], .x = t["x"], .gain = t["gain"], .rstd = t["rstd"]});
  });
  return c;
}

class RmsNorm : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(RmsNorm, CpuEqualsReference) {
  const auto [T, C] = GetParam();
  const double slack = C == 1 ? 8 : 1;  // with one channel, dx cancels down to the term of eps
  rmsnorm_case(T, C, true).expect_cpu_equals_reference(C + T, slack);
  rmsnorm_case(T, C, false).expect_cpu_equals_reference(C + T, slack);
}

TEST_P(RmsNorm, BackwardMatchesFiniteDifferences) {
  const auto [T, C] = GetParam();
  rmsnorm_case(T, C, true).expect_gradients({"x", "gain"}, {"y"});
  rmsnorm_case(T, C, false).expect_gradients({"x"}, {"y"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, RmsNorm,
                         testing::Values(std::pair{0, 8}, std::pair{1, 1}, std::pair{3, 7}, std::pair{130, 65}));

// The expected values come from the tests of a public Rust port (unweighted, eps 1e-6).
TEST(RmsNorm, MatchesAPublishedExample) {
  OpCase c;
  c.parameter("x", {1, 3}, [](int64_t i) { return static_cast<double>(i + 1); });
  c.output_f32("y", {1, 3}).statistic_output("rstd", {1});
  c.forward([](Stream& s, const Tensors& t) { rmsnorm_forward(s, {t["y"], t["rstd"], t["x"], {}, 1e-6f}); });
  const auto y = c.result(Device{}, DType::f32, "y");
  EXPECT_NEAR(y[0], 0.46291, 1e-5);
  EXPECT_NEAR(y[1], 0.92582, 1e-5);
  EXPECT_NEAR(y[2], 1.38873, 1e-5);
}

TEST(RmsNorm, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor x = arena.take(DType::f32, {2, 4}), y = arena.take(DType::f32, {2, 4});
  EXPECT_THROW(rmsnorm_forward(stream, {y, arena.take(DType::f32, {2}), x, arena.take(DType::f32, {5})}), UserError);
}

}  // namespace
}  // namespace birkhoff::test

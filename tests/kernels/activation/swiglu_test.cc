#include "kernels/activation/swiglu.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase swiglu_case(int64_t T, int64_t F, float clamp, bool scaled) {
  OpCase c;
  c.activation("x", {T, 2 * F}).output("y", {T, F});
  if (scaled) c.parameter("scale", {T});
  c.forward([=](Stream& s, const Tensors& t) { swiglu_forward(s, {t["y"], t["x"], t["scale"], clamp}); });
  c.backward([=](Stream& s, const Tensors& t) {
    swiglu_backward(s, {.dx = t["d_x"],
                        .drow_scale = t["d_scale"],
                        .dy = t["d_y"],
                        .x = t["x"],
                        .row_scale = t["scale"],
                        .clamp = clamp});
  });
  return c;
}

class Swiglu : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(Swiglu, CpuEqualsReference) {
  const auto [T, F] = GetParam();
  for (float clamp : {0.0f, 0.75f}) {
    for (bool scaled : {false, true}) swiglu_case(T, F, clamp, scaled).expect_cpu_equals_reference(F, 2);
  }
}

TEST_P(Swiglu, BackwardMatchesFiniteDifferences) {
  const auto [T, F] = GetParam();
  for (float clamp : {0.0f, 0.75f}) {
    swiglu_case(T, F, clamp, false).expect_gradients({"x"}, {"y"});
    swiglu_case(T, F, clamp, true).expect_gradients({"x", "scale"}, {"y"});
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Swiglu,
                         testing::Values(std::pair{0, 8}, std::pair{1, 1}, std::pair{3, 7}, std::pair{70, 33}));

TEST(Swiglu, ClampsTheGateFromAboveAndUpOnBothSides) {
  OpCase c;
  c.parameter("x", {4, 2}, [](int64_t i) { return std::vector<double>{50, 1, -50, 1, 1, 50, 1, -50}[size_t(i)]; });
  c.output_f32("y", {4, 1});
  c.forward([](Stream& s, const Tensors& t) { swiglu_forward(s, {t["y"], t["x"], {}, 10.0f}); });
  auto silu = [](double x) { return x / (1 + std::exp(-x)); };
  const auto y = c.result(Device{}, DType::f32, "y");
  EXPECT_NEAR(y[0], silu(10), 1e-5);
  EXPECT_NEAR(y[1], silu(-50), 1e-5);
  EXPECT_NEAR(y[2], 10 * silu(1), 1e-5);
  EXPECT_NEAR(y[3], -10 * silu(1), 1e-5);
}

TEST(Swiglu, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  EXPECT_THROW(swiglu_forward(stream, {arena.take(DType::f32, {2, 4}), arena.take(DType::f32, {2, 7}), {}, 0}),
               UserError);
}

}  // namespace
}  // namespace birkhoff::test

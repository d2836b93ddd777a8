#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/activation/gelu.h"
#include "kernels/activation/swiglu.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

class Activation : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

OpCase swiglu_case(int64_t T, int64_t F, float clamp, bool scaled) {
  OpCase c;
  c.activation("x", {T, 2 * F}, normal(5, 2)).output("y", {T, F});
  if (scaled) c.parameter("scale", {T});
  c.forward([clamp](Stream& s, const Tensors& t) { swiglu_forward(s, {t["y"], t["x"], t["scale"], clamp}); });
  c.backward([clamp](Stream& s, const Tensors& t) {
    swiglu_backward(s, {t["d_x"], t["d_scale"], t["d_y"], t["x"], t["scale"], clamp});
  });
  return c;
}

TEST_P(Activation, SwigluOnCpuEqualsReference) {
  const auto [T, F] = GetParam();
  for (float clamp : {0.0f, 1.5f}) {
    swiglu_case(T, F, clamp, false).expect_cpu_equals_reference(F);
    swiglu_case(T, F, clamp, true).expect_cpu_equals_reference(F);
  }
}

TEST_P(Activation, SwigluGradientsMatchFiniteDifferences) {
  const auto [T, F] = GetParam();
  swiglu_case(T, F, 0, false).expect_gradients({"x"}, {"y"});
  swiglu_case(T, F, 1.5f, true).expect_gradients({"x", "scale"}, {"y"});
}

TEST_P(Activation, GeluEqualsReferenceAndGradientsMatchFiniteDifferences) {
  const auto [T, F] = GetParam();
  OpCase c;
  c.activation("x", {T, F}, normal(6, 2)).output("y", {T, F});
  c.forward([](Stream& s, const Tensors& t) { gelu_forward(s, {t["y"], t["x"]}); });
  c.backward([](Stream& s, const Tensors& t) { gelu_backward(s, {t["d_x"], t["d_y"], t["x"]}); });
  c.expect_cpu_equals_reference(1);
  c.expect_gradients({"x"}, {"y"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, Activation, testing::Values(std::pair{0, 4}, std::pair{1, 1}, std::pair{37, 129}));

TEST(Swiglu, SaturatesWithoutOverflow) {
  OpCase c;
  c.parameter("x", {1, 8}, [](int64_t i) { return i < 4 ? (i % 2 ? -1e4 : 1e4) : 1.0; }).output_f32("y", {1, 4});
  c.forward([](Stream& s, const Tensors& t) { swiglu_forward(s, {t["y"], t["x"], {}, 0}); });
  EXPECT_THAT(c.result(Device{}, DType::f32, "y"), testing::ElementsAre(1e4, 0, 1e4, 0));
}

}  // namespace
}  // namespace birkhoff::test

#include "kernels/activation/gelu.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase gelu_case(int64_t count, double std) {
  OpCase c;
  c.activation("x", {count}, normal(5, std)).output("y", {count});
  c.forward([](Stream& s, const Tensors& t) { gelu_forward(s, {t["y"], t["x"]}); });
  c.backward([](Stream& s, const Tensors& t) { gelu_backward(s, {t["d_x"], t["d_y"], t["x"]}); });
  return c;
}

TEST(Gelu, CpuEqualsReference) {
  for (int64_t count : {0, 1, 33, 9001}) {
    gelu_case(count, 1).expect_cpu_equals_reference(1, 2);
    gelu_case(count, 20).expect_cpu_equals_reference(1, 2);
  }
}

TEST(Gelu, BackwardMatchesFiniteDifferences) { gelu_case(50, 2).expect_gradients({"x"}, {"y"}); }

// The expected values are those of the exact function x Phi(x), from which the approximation differs by less than 5e-4.
TEST(Gelu, IsCloseToTheExactFunction) {
  OpCase c;
  c.parameter("x", {3}, [](int64_t i) { return static_cast<double>(i - 1); }).output_f32("y", {3});
  c.forward([](Stream& s, const Tensors& t) { gelu_forward(s, {t["y"], t["x"]}); });
  const auto y = c.result(Device{}, DType::f32, "y");
  EXPECT_NEAR(y[0], -0.158655, 5e-4);
  EXPECT_EQ(y[1], 0);
  EXPECT_NEAR(y[2], 0.841345, 5e-4);
}

TEST(Gelu, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  EXPECT_THROW(gelu_forward(stream, {arena.take(DType::f32, {2}), arena.take(DType::f32, {3})}), UserError);
}

}  // namespace
}  // namespace birkhoff::test

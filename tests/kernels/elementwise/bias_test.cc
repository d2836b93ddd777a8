#include "kernels/elementwise/bias.h"

#include <gtest/gtest.h>

#include "kernels/core/copy.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

class Bias : public testing::TestWithParam<std::pair<int64_t, int64_t>> {
 protected:
  static OpCase make(int64_t T, int64_t C) {
    OpCase c;
    c.activation("x", {T, C}).parameter("bias", {C}).output("y", {T, C});
    c.forward([](Stream& s, const Tensors& t) {
      copy(s, t["y"], t["x"]);
      add_bias(s, {t["y"], t["bias"]});
    });
    c.backward([](Stream& s, const Tensors& t) {
      copy(s, t["d_x"], t["d_y"]);
      bias_gradient(s, {t["d_bias"], t["d_y"]});
    });
    return c;
  }
};

TEST_P(Bias, CpuEqualsReferenceAndGradientsMatchFiniteDifferences) {
  const auto [T, C] = GetParam();
  make(T, C).expect_cpu_equals_reference(T);
  make(T, C).expect_gradients({"x", "bias"}, {"y"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, Bias, testing::Values(std::pair{0, 3}, std::pair{1, 1}, std::pair{37, 129}));

}  // namespace
}  // namespace birkhoff::test

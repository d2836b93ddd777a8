#include "kernels/elementwise/bias.h"

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/elementwise/copy.h"
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

INSTANTIATE_TEST_SUITE_P(Sizes, Bias,
                         testing::Values(std::pair{0, 3}, std::pair{1, 1}, std::pair{37, 129}, std::pair{200, 300}));

TEST(BiasGradient, DoesNotDependOnTheNumberOfThreads) {
  const auto gradient = [](int num) {
    const int threads = num_threads();
    set_num_threads(num);
    OpCase c;
    c.activation("dy", {333, 150}).parameter("dbias", {150});
    c.forward([](Stream& s, const Tensors& t) { bias_gradient(s, {t["dbias"], t["dy"]}); });
    const auto result = c.result(Device{}, DType::bf16, "dbias");
    set_num_threads(threads);
    return result;
  };
  EXPECT_EQ(gradient(1), gradient(3));
}

}  // namespace
}  // namespace birkhoff::test

#include "kernels/norm/layernorm.h"

#include <gtest/gtest.h>

#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

class LayerNorm : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(LayerNorm, CpuEqualsReferenceAndGradientsMatchFiniteDifferences) {
  const auto [T, C] = GetParam();
  OpCase c;
  c.activation("x", {T, C}).parameter("gain", {C}, normal(3, 0.2, 1)).parameter("bias", {C});
  c.output("y", {T, C}).statistic_output("mean", {T}).statistic_output("rstd", {T});
  c.forward([](Stream& s, const Tensors& t) {
    layernorm_forward(s, {t["y"], t["mean"], t["rstd"], t["x"], t["gain"], t["bias"], 1e-5f});
  });
  c.backward([](Stream& s, const Tensors& t) {
    layernorm_backward(s, {t["d_x"], t["d_gain"], t["d_bias"], t["d_y"], t["x"], t["gain"], t["mean"], t["rstd"]});
  });
  c.expect_cpu_equals_reference(C + T, 2);
  c.expect_gradients({"x", "gain", "bias"}, {"y"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, LayerNorm, testing::Values(std::pair{0, 8}, std::pair{3, 7}, std::pair{130, 65}));

}  // namespace
}  // namespace birkhoff::test

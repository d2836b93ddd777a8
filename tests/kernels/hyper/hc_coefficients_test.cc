#include "kernels/hyper/hc_coefficients.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase hc_case(int64_t T, int64_t S, int64_t C) {
  OpCase c;
  c.activation("x", {T, S, C}).parameter("fn", {S + 2, C}, normal(7, 0.3)).parameter("base", {S * S + 2 * S});
  c.parameter("scale", {2}).statistic_output("mixes", {T, S, S + 2}).statistic_output("rstd", {T, S});
  c.output_f32("pre", {T, S}).output_f32("post", {T, S}).output_f32("comb", {T, S, S});
  c.forward([](Stream& s, const Tensors& t) {
    hc_coefficients_forward(s, {.mixes = t["mixes"],
                                .rstd = t["rstd"],
                                .pre = t["pre"],
                                .post = t["post"],
                                .comb = t["comb"],
                                .x = t["x"],
                                .fn = t["fn"],
                                .base = t["base"],
                                .scale = t["scale"],
                                .norm_eps = 1e-6f});
  });
  c.backward([](Stream& s, const Tensors& t) {
    hc_coefficients_backward(s, {.dx = t["d_x"],
                                 .dfn = t["d_fn"],
                                 .dbase = t["d_base"],
                                 .dscale = t["d_scale"],
                                 .dpre = t["d_pre"],
                                 .dpost = t["d_post"],
                                 .dcomb = t["d_comb"],
                                 .x = t["x"],
                                 .fn = t["fn"],
                                 .scale = t["scale"],
                                 .mixes = t["mixes"],
                                 .rstd = t["rstd"]});
  });
  return c;
}

struct Size {
  int64_t T, S, C;
};
class HcCoefficients : public testing::TestWithParam<Size> {};

TEST_P(HcCoefficients, CpuEqualsReference) {
  const Size n = GetParam();
  hc_case(n.T, n.S, n.C).expect_cpu_equals_reference(n.C + n.T, 2);
}

TEST_P(HcCoefficients, BackwardMatchesFiniteDifferences) {
  const Size n = GetParam();
  hc_case(n.T, n.S, n.C).expect_gradients({"x", "fn", "base", "scale"}, {"pre", "post", "comb"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, HcCoefficients,
                         testing::Values(Size{0, 4, 8}, Size{3, 1, 7}, Size{70, 2, 9}, Size{9, 4, 35}));

TEST(HcCoefficients, StartAsTheirStaticPart) {
  OpCase c = hc_case(3, 2, 5);
  c.parameter("fn", {4, 5}, constant(0));
  EXPECT_EQ(c.result(Device{}, DType::f32, "mixes"), std::vector<double>(24, 0.0));
  const std::vector<double> base = c.result(Device{}, DType::f32, "base");
  const std::vector<double> comb = c.result(Device{}, DType::f32, "comb");
  for (size_t k = 0; k < comb.size(); ++k) EXPECT_EQ(comb[k], base[4 + k % 4]);
}

TEST(HcCoefficients, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  auto take = [&](Shape shape) { return arena.take(DType::f32, shape); };
  EXPECT_THROW(hc_coefficients_forward(stream, {.mixes = take({2, 2, 4}),
                                                .rstd = take({2, 2}),
                                                .pre = take({2, 2}),
                                                .post = take({2, 2}),
                                                .comb = take({2, 2, 2}),
                                                .x = take({2, 2, 8}),
                                                .fn = take({3, 8}),
                                                .base = take({8}),
                                                .scale = take({2})}),
               UserError);
}

}  // namespace
}  // namespace birkhoff::test

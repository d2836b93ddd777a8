#include "kernels/hyper/coefficients.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

enum class Reading { fused, apart };

struct Size {
  int64_t T, S, C;
};

void backward(Stream& s, const Tensors& t) {
  hyper_coefficients_backward(s, {.dx = t["d_x"],
                                  .dfn = t["d_fn"],
                                  .dbase = t["d_base"],
                                  .dscale = t["d_scale"],
                                  .dpre = t["d_pre"],
                                  .dpost = t["d_post"],
                                  .dcomb = t["d_comb"],
                                  .dh = t["d_h"],
                                  .x = t["x"],
                                  .fn = t["fn"],
                                  .base = t["base"],
                                  .scale = t["scale"],
                                  .mixes = t["mixes"],
                                  .rstd = t["rstd"]});
}

OpCase site_case(Size n, Reading reading) {
  const auto [T, S, C] = n;
  const int64_t R = S * S + 2 * S;
  OpCase c;
  c.activation("x", {T, S, C}).parameter("fn", {R, S * C}, normal(7, 1 / std::sqrt(static_cast<double>(S * C))));
  c.parameter("base", {R}).parameter("scale", {3});
  c.statistic_output("mixes", {T, R}).statistic_output("rstd", {T});
  c.output_f32("pre", {T, S}).output_f32("post", {T, S}).output_f32("comb", {T, S, S});
  if (reading == Reading::fused) c.output("h", {T, C});
  c.forward([](Stream& s, const Tensors& t) {
    hyper_coefficients_forward(s, {.mixes = t["mixes"],
                                   .rstd = t["rstd"],
                                   .pre = t["pre"],
                                   .post = t["post"],
                                   .comb = t["comb"],
                                   .h = t["h"],
                                   .x = t["x"],
                                   .fn = t["fn"],
                                   .base = t["base"],
                                   .scale = t["scale"],
                                   .options = {}});
  });
  c.backward(backward);
  return c;
}

OpCase head_case(Size n) {
  const auto [T, S, C] = n;
  OpCase c;
  c.activation("x", {T, S, C}).parameter("fn", {S, S * C}, normal(7, 1 / std::sqrt(static_cast<double>(S * C))));
  c.parameter("base", {S}).parameter("scale", {1});
  c.statistic_output("mixes", {T, S}).statistic_output("rstd", {T}).statistic_output("pre", {T, S});
  c.output("h", {T, C});
  c.forward([](Stream& s, const Tensors& t) {
    hyper_coefficients_forward(s, {.mixes = t["mixes"],
                                   .rstd = t["rstd"],
                                   .pre = t["pre"],
                                   .post = {},
                                   .comb = {},
                                   .h = t["h"],
                                   .x = t["x"],
                                   .fn = t["fn"],
                                   .base = t["base"],
                                   .scale = t["scale"],
                                   .options = {}});
  });
  c.backward(backward);
  return c;
}

class HyperCoefficients : public testing::TestWithParam<Size> {};

TEST_P(HyperCoefficients, CpuEqualsReference) {
  const Size n = GetParam();
  const int64_t reduction = n.S * n.C + n.T + 40 * n.S;
  site_case(n, Reading::fused).expect_cpu_equals_reference(reduction, 2);
  site_case(n, Reading::apart).expect_cpu_equals_reference(reduction, 2);
  head_case(n).expect_cpu_equals_reference(reduction, 2);
}

TEST_P(HyperCoefficients, BackwardMatchesFiniteDifferences) {
  const Size n = GetParam();
  site_case(n, Reading::fused).expect_gradients({"x", "fn", "base", "scale"}, {"pre", "post", "comb", "h"});
  site_case(n, Reading::apart).expect_gradients({"x", "fn", "base", "scale"}, {"pre", "post", "comb"});
  head_case(n).expect_gradients({"x", "fn", "base", "scale"}, {"h"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, HyperCoefficients,
                         testing::Values(Size{0, 4, 8}, Size{3, 1, 7}, Size{1, 4, 1}, Size{9, 2, 16}, Size{41, 4, 35},
                                         Size{17, 5, 9}));

TEST(HyperCoefficients, AddToTheGradientsTheyAreGiven) {
  OpCase twice = site_case({5, 4, 6}, Reading::fused);
  twice.backward([](Stream& s, const Tensors& t) {
    backward(s, t);
    backward(s, t);
  });
  for (const char* name : {"d_x", "d_fn", "d_base", "d_scale"}) {
    const auto once = site_case({5, 4, 6}, Reading::fused).result(Device{}, DType::f32, name);
    const auto sum = twice.result(Device{}, DType::f32, name);
    for (size_t i = 0; i < once.size(); ++i) EXPECT_NEAR(sum[i], 2 * once[i], 1e-4) << name;
  }
}

TEST(HyperCoefficients, DoNotDependOnTheNumberOfThreads) {
  const int threads = num_threads();
  for (const char* name : {"mixes", "comb", "h", "d_x", "d_fn", "d_base", "d_scale"}) {
    set_num_threads(1);
    const auto one = site_case({101, 4, 70}, Reading::fused).result(Device{}, DType::bf16, name);
    set_num_threads(3);
    EXPECT_EQ(site_case({101, 4, 70}, Reading::fused).result(Device{}, DType::bf16, name), one) << name;
  }
  set_num_threads(threads);
}

TEST(HyperCoefficients, RefuseShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  auto take = [&](Shape shape) { return arena.take(DType::f32, shape); };
  HyperCoefficientsArgs a{.mixes = take({2, 24}),
                          .rstd = take({2}),
                          .pre = take({2, 4}),
                          .post = take({2, 4}),
                          .comb = take({2, 4, 4}),
                          .h = {},
                          .x = take({2, 4, 8}),
                          .fn = take({24, 32}),
                          .base = take({24}),
                          .scale = take({3})};
  Stream meta{Device{DeviceKind::meta}, nullptr, nullptr};
  EXPECT_NO_THROW(hyper_coefficients_forward(meta, a));
  a.fn = take({23, 32});
  EXPECT_THROW(hyper_coefficients_forward(stream, a), UserError);
}

}  // namespace
}  // namespace birkhoff::test

#include "kernels/loss/cross_entropy.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

// Every third row has no loss.
std::vector<int64_t> targets(int64_t T, int64_t V) {
  std::vector<int64_t> out;
  for (int64_t t = 0; t < T; ++t) out.push_back(t % 3 == 2 ? -1 : t * 7 % V);
  return out;
}

OpCase loss_case(int64_t T, int64_t V, float z_loss) {
  OpCase c;
  c.parameter("logits", {T, V}, normal(1, 3)).index("targets", targets(T, V));
  c.parameter("weight", {T}, [](int64_t t) { return 0.5 + 0.25 * static_cast<double>(t % 3); });
  c.output_f32("loss", {1}).statistic_output("nll", {T}).output("rounded", {T, V}).output_f32("dlogits", {T, V});
  c.forward([=](Stream& s, const Tensors& t) {
    set_values(t["loss"], {0});
    cross_entropy(s, {.loss = t["loss"],
                      .nll = t["nll"],
                      .dlogits = t["dlogits"],
                      .logits = t["logits"],
                      .targets = t["targets"],
                      .weight = t["weight"],
                      .z_loss = z_loss});
    cross_entropy(s, {.loss = {},
                      .nll = {},
                      .dlogits = t["rounded"],
                      .logits = t["logits"],
                      .targets = t["targets"],
                      .weight = t["weight"],
                      .z_loss = z_loss});
  });
  return c;
}

class CrossEntropy : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(CrossEntropy, CpuEqualsReference) {
  const auto [T, V] = GetParam();
  for (const float z_loss : {0.0f, 1e-2f}) loss_case(T, V, z_loss).expect_cpu_equals_reference(T + V, 4);
}

INSTANTIATE_TEST_SUITE_P(Sizes, CrossEntropy,
                         testing::Values(std::pair{0, 8}, std::pair{1, 1}, std::pair{2, 33}, std::pair{70, 131}));

TEST(CrossEntropy, GradientMatchesFiniteDifferences) {
  OpCase c;
  const int64_t T = 4, V = 5;
  c.parameter("logits", {T, V}).index("targets", targets(T, V)).output_f32("loss", {1});
  c.parameter("weight", {T}, constant(0.3)).output_f32("scratch", {T, V});
  c.forward([](Stream& s, const Tensors& t) {
    set_values(t["loss"], {0});
    cross_entropy(s, {.loss = t["loss"],
                      .nll = {},
                      .dlogits = {},
                      .logits = t["logits"],
                      .targets = t["targets"],
                      .weight = t["weight"],
                      .z_loss = 0.05f});
  });
  c.backward([](Stream& s, const Tensors& t) {
    cross_entropy(s, {.loss = {},
                      .nll = {},
                      .dlogits = t["d_logits"],
                      .logits = t["logits"],
                      .targets = t["targets"],
                      .weight = t["weight"],
                      .z_loss = 0.05f});
    const double outer = t["d_loss"].as<double>()[0];
    for (int64_t i = 0; i < t["d_logits"].count(); ++i) t["d_logits"].as<double>()[i] *= outer;
  });
  c.expect_gradients({"logits"}, {"loss"});
}

TEST(CrossEntropy, OfEqualLogitsIsTheLogarithmOfTheVocabularyEvenWhereTheyAreHuge) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor logits = arena.take(DType::f32, {2, 1000}), nll = arena.take(DType::f32, {2});
  const Tensor index = arena.take(DType::i32, {2});
  std::vector<double> values(2000, 3e4);
  std::fill(values.begin() + 1000, values.end(), -3e4);
  set_values(logits, values);
  set_values(index, {7, 999});
  cross_entropy(stream, {.loss = {}, .nll = nll, .dlogits = {}, .logits = logits, .targets = index, .weight = {}});
  for (const double v : values_of(nll)) EXPECT_NEAR(v, std::log(1000.0), 1e-5);
}

TEST(CrossEntropy, NotANumberInTheLogitsReachesTheLoss) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor logits = arena.take(DType::f32, {1, 40}), nll = arena.take(DType::f32, {1});
  const Tensor index = arena.take(DType::i32, {1});
  std::vector<double> values(40, 1.0);
  values[20] = std::numeric_limits<double>::quiet_NaN();
  set_values(logits, values);
  set_values(index, {3});
  cross_entropy(stream, {.loss = {}, .nll = nll, .dlogits = {}, .logits = logits, .targets = index, .weight = {}});
  EXPECT_TRUE(std::isnan(nll.f32()[0]));
}

TEST(CrossEntropy, RefusesShapesThatDisagreeAndTargetsOutsideTheVocabulary) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor logits = arena.take(DType::f32, {2, 4}), nll = arena.take(DType::f32, {2});
  const Tensor index = arena.take(DType::i32, {2}), three = arena.take(DType::i32, {3});
  set_values(logits, std::vector<double>(8, 0));
  const auto run = [&](Tensor target) {
    cross_entropy(stream, {.loss = {}, .nll = nll, .dlogits = {}, .logits = logits, .targets = target, .weight = {}});
  };
  EXPECT_THROW(run(three), UserError);
  set_values(index, {0, 4});
  EXPECT_THROW(run(index), BugError);
}

}  // namespace
}  // namespace birkhoff::test

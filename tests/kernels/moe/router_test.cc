#include "kernels/moe/router.h"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

struct Size {
  int64_t T, E, K, groups, kept;
};

OpCase router_case(Size n, RouterScore score, bool renormalize, bool biased) {
  OpCase c;
  c.parameter("logits", {n.T, n.E}).output_f32("gate", {n.T, n.K}).statistic_output("scores", {n.T, n.E});
  c.index_output("index", {n.T, n.K}).index_output("load", {n.E}, DType::i64);
  if (biased) c.parameter("bias", {n.E}, normal(5, 0.3));
  c.forward([=](Stream& s, const Tensors& t) {
    router_forward(s, {.index = t["index"],
                       .gate = t["gate"],
                       .scores = t["scores"],
                       .load = t["load"],
                       .logits = t["logits"],
                       .bias = t["bias"],
                       .token_mask = {},
                       .chosen = {},
                       .score = score,
                       .num_groups = n.groups,
                       .num_groups_kept = n.kept,
                       .renormalize = renormalize,
                       .route_scale = 2.5f});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    router_backward(s, {.dlogits = t["d_logits"],
                        .dgate = t["d_gate"],
                        .dscores = {},
                        .scores = t["scores"],
                        .index = t["index"],
                        .score = score,
                        .renormalize = renormalize,
                        .route_scale = 2.5f});
  });
  return c;
}

constexpr RouterScore kScores[] = {RouterScore::sigmoid, RouterScore::sqrt_softplus, RouterScore::softmax};

class Router : public testing::TestWithParam<Size> {};

TEST_P(Router, CpuEqualsReference) {
  const Size n = GetParam();
  for (const RouterScore score : kScores) {
    for (const bool renormalize : {false, true}) {
      // The gradient of a renormalized gate cancels: it is zero if all scores are equal.
      router_case(n, score, renormalize, false).expect_cpu_equals_reference(n.E, 2);
      router_case(n, score, renormalize, true).expect_cpu_equals_reference(n.E, 2);
    }
  }
}

TEST_P(Router, BackwardMatchesFiniteDifferences) {
  for (const RouterScore score : kScores) {
    for (const bool renormalize : {false, true}) {
      router_case(GetParam(), score, renormalize, true).expect_gradients({"logits"}, {"gate"});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Router,
                         testing::Values(Size{0, 4, 2, 1, 1}, Size{1, 1, 1, 1, 1}, Size{5, 7, 3, 1, 1},
                                         Size{9, 12, 4, 4, 2}, Size{6, 6, 2, 6, 3}, Size{67, 64, 6, 8, 4}));

// The choice for one token on the cpu device, with sigmoid scores.
struct Choice {
  std::vector<double> index, gate, load;
};
Choice choose(std::vector<double> logits, std::vector<double> bias, int64_t K, int64_t groups = 1, int64_t kept = 1,
              std::vector<int64_t> chosen = {}) {
  const auto E = static_cast<int64_t>(logits.size());
  Arena arena{Device{}};
  Stream stream;
  RouterArgs a;
  a.index = arena.take(DType::i32, {1, K});
  a.gate = arena.take(DType::f32, {1, K});
  a.logits = a.scores = arena.take(DType::f32, {1, E});
  a.load = arena.take(DType::f32, {E});
  set_values(a.load, std::vector<double>(logits.size(), 0.0));
  set_values(a.logits, logits);
  if (!bias.empty()) set_values(a.bias = arena.take(DType::f32, {static_cast<int64_t>(bias.size())}), bias);
  if (!chosen.empty()) {
    a.chosen = arena.take(DType::i32, {1, K});
    set_values(a.chosen, {chosen.begin(), chosen.end()});
  }
  a.num_groups = groups;
  a.num_groups_kept = kept;
  router_forward(stream, a);
  return {values_of(a.index), values_of(a.gate), values_of(a.load)};
}

using Indices = std::vector<double>;

TEST(RouterChoice, BreaksTiesByTheSmallerIndex) {
  EXPECT_EQ(choose({1, 2, 2, 0, 2}, {}, 2).index, (Indices{1, 2}));
  EXPECT_EQ(choose({0, 0, 0, 0}, {}, 3).index, (Indices{0, 1, 2}));
}

TEST(RouterChoice, BreaksTiesBetweenGroupsByTheSmallerIndex) {
  EXPECT_EQ(choose({0, 0, 0, 0, 0, 0}, {}, 2, 3, 2).index, (Indices{0, 1}));
  EXPECT_EQ(choose({-1, -1, 0, 0, 0, 0}, {}, 3, 3, 2).index, (Indices{2, 3, 4}));
}

TEST(RouterChoice, ScoresAGroupByItsTwoBestExperts) {
  // Group 0 has the single best expert, group 1 the better pair.
  EXPECT_EQ(choose({3, -9, -9, 1, 1, -9}, {}, 2, 2, 1).index, (Indices{3, 4}));
}

TEST(RouterChoice, UsesTheBiasForTheChoiceButNotForTheGate) {
  const Choice c = choose({0, 0, 0}, {0, 5, 1}, 2);
  EXPECT_EQ(c.index, (Indices{1, 2}));
  EXPECT_NEAR(c.gate[0], 0.5, 1e-6);
  EXPECT_NEAR(c.gate[1], 0.5, 1e-6);
  EXPECT_EQ(c.load, (Indices{0, 1, 1}));
}

TEST(RouterChoice, FollowsAGivenChoice) {
  const Choice c = choose({9, 0, 0, 1}, {}, 2, 1, 1, {3, 1});
  EXPECT_EQ(c.index, (Indices{3, 1}));
  const double s3 = 1 / (1 + std::exp(-1.0));
  EXPECT_NEAR(c.gate[0], s3 / (s3 + 0.5), 1e-6);
}

TEST(RouterChoice, RefusesAGivenExpertThatDoesNotExist) { EXPECT_THROW(choose({0, 0}, {}, 1, 1, 1, {2}), BugError); }

TEST(RouterChoice, StaysValidWhenLogitsAreNaN) {
  for (const int groups : {1, 2}) {
    const Choice c = choose({NAN, NAN, NAN, NAN, NAN, NAN}, {}, 3, groups, 1);
    EXPECT_EQ(std::set<double>(c.index.begin(), c.index.end()).size(), 3u);
    for (double i : c.index) EXPECT_TRUE(i >= 0 && i < 6);
  }
}

TEST(RouterLoad, SkipsMaskedTokensAndAccumulates) {
  Arena arena{Device{}};
  Stream stream;
  RouterArgs a;
  a.index = arena.take(DType::i32, {3, 1});
  a.gate = arena.take(DType::f32, {3, 1});
  a.logits = a.scores = arena.take(DType::f32, {3, 2});
  a.load = arena.take(DType::i64, {2});
  a.token_mask = arena.take(DType::u8, {3});
  set_values(a.logits, {1, 0, 1, 0, 0, 1});
  set_values(a.load, {10, 20});
  set_values(a.token_mask, {1, 0, 1});
  router_forward(stream, a);
  EXPECT_EQ(values_of(a.load), (Indices{11, 21}));
}

TEST(RouterScoreFunction, IsAccurateAtBothEndsOfTheSquareRootSoftplus) {
  const std::vector<double> z{-80, -20, -1, 0, 1, 19.9, 20.1, 90};
  Arena arena{Device{}};
  Stream stream;
  const Tensor scores = arena.take(DType::f32, {1, 8}), index = arena.take(DType::i32, {1, 1});
  const Tensor gate = arena.take(DType::f32, {1, 1});
  set_values(scores, z);
  RouterArgs a{.index = index,
               .gate = gate,
               .scores = scores,
               .load = {},
               .logits = scores,
               .bias = {},
               .token_mask = {},
               .chosen = {},
               .score = RouterScore::sqrt_softplus};
  router_forward(stream, a);
  for (size_t i = 0; i < z.size(); ++i) {
    const double z32 = static_cast<float>(z[i]), expected = std::sqrt(std::log1p(std::exp(z32)));
    EXPECT_NEAR(values_of(scores)[i] / expected, 1, bound(DType::f32, 1)) << z[i];
  }
}

TEST(RouterBackward, AddsToTheGradientOfTheScoresInPlace) {
  OpCase c;
  c.parameter("logits", {4, 5}).parameter("dscores", {4, 5}).parameter("dgate", {4, 2});
  c.output_f32("once", {4, 5})
      .output_f32("twice", {4, 5})
      .output_f32("gate", {4, 2})
      .statistic_output("scores", {4, 5});
  c.index_output("index", {4, 2});
  c.forward([](Stream& s, const Tensors& t) {
    router_forward(s, {.index = t["index"],
                       .gate = t["gate"],
                       .scores = t["scores"],
                       .load = {},
                       .logits = t["logits"],
                       .bias = {},
                       .token_mask = {},
                       .chosen = {}});
    router_backward(s, {t["once"], t["dgate"], t["dscores"], t["scores"], t["index"]});
    set_values(t["twice"], values_of(t["dscores"]));
    router_backward(s, {t["twice"], t["dgate"], t["twice"], t["scores"], t["index"]});
  });
  c.expect_cpu_equals_reference(5, 2);
  EXPECT_EQ(c.result(Device{}, DType::f32, "once"), c.result(Device{}, DType::f32, "twice"));
}

TEST(RouterErrors, RefusesImpossibleChoices) {
  EXPECT_THROW(choose({0, 0}, {}, 3), UserError);
  EXPECT_THROW(choose({0, 0, 0, 0}, {}, 3, 2, 1), UserError);
  EXPECT_THROW(choose({0, 0, 0}, {}, 1, 2, 1), UserError);
  EXPECT_THROW(choose({0, 0, 0}, {1}, 1), UserError);
}

}  // namespace
}  // namespace birkhoff::test

#include "kernels/moe/balance_loss.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

struct Size {
  int64_t sequences, length, E, K;
};

OpCase balance_case(Size n, bool masked) {
  const int64_t T = n.sequences * n.length;
  OpCase c;
  c.parameter("scores", {T, n.E}, [](int64_t i) { return 0.1 + std::abs(normal(9)(i)); });
  c.output_f32("loss", {1}).statistic_output("fraction", {n.sequences, n.E});
  std::vector<int64_t> mask;
  for (int64_t t = 0; t < T; ++t) mask.push_back(t % 3 != 1);
  if (masked) c.index("mask", mask, DType::u8);
  c.forward([=](Stream& s, const Tensors& t) {
    set_values(t["loss"], {0});
    balance_loss_forward(s, {.loss = t["loss"],
                             .fraction = t["fraction"],
                             .index = {},
                             .scores = t["scores"],
                             .chosen = {},
                             .token_mask = t["mask"],
                             .length = n.length,
                             .num_chosen = n.K,
                             .alpha = 0.5f});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    const auto dloss = static_cast<float>(values_of(t["d_loss"])[0]);
    balance_loss_backward(s, {.dscores = t["d_scores"],
                              .scores = t["scores"],
                              .fraction = t["fraction"],
                              .token_mask = t["mask"],
                              .length = n.length,
                              .alpha = 0.5f,
                              .weight = dloss});
  });
  return c;
}

class BalanceLoss : public testing::TestWithParam<Size> {};

TEST_P(BalanceLoss, CpuEqualsReference) {
  const Size n = GetParam();
  balance_case(n, false).expect_cpu_equals_reference(n.length + n.E, 2);
  balance_case(n, true).expect_cpu_equals_reference(n.length + n.E, 2);
}

TEST_P(BalanceLoss, BackwardMatchesFiniteDifferences) {
  balance_case(GetParam(), false).expect_gradients({"scores"}, {"loss"});
  balance_case(GetParam(), true).expect_gradients({"scores"}, {"loss"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, BalanceLoss,
                         testing::Values(Size{0, 4, 4, 2}, Size{1, 1, 1, 1}, Size{3, 5, 7, 2}, Size{2, 300, 16, 3}));

double loss_of(const std::vector<double>& scores, int64_t E, int64_t K, std::vector<double> mask = {}) {
  Arena arena{Device{}};
  Stream stream;
  const auto T = static_cast<int64_t>(scores.size()) / E;
  const Tensor loss = arena.take(DType::f32, {1}), s = arena.take(DType::f32, {T, E});
  set_values(loss, {1});
  set_values(s, scores);
  Tensor m;
  if (!mask.empty()) set_values(m = arena.take(DType::u8, {T}), mask);
  balance_loss_forward(stream, {.loss = loss,
                                .fraction = arena.take(DType::f32, {1, E}),
                                .index = {},
                                .scores = s,
                                .chosen = {},
                                .token_mask = m,
                                .length = T,
                                .num_chosen = K,
                                .alpha = 0.25f});
  return values_of(loss)[0] - 1;
}

TEST(BalanceLossValue, IsAlphaWhenBalancedAndTheWorstWhenCollapsed) {
  EXPECT_NEAR(loss_of({1, 0, 0, 1}, 2, 1), 0.25, 1e-6);
  EXPECT_NEAR(loss_of({1, 0, 1, 0}, 2, 1), 0.5, 1e-6);
  EXPECT_NEAR(loss_of({1, 0, 0, 1, 1, 0}, 2, 1, {1, 1, 0}), 0.25, 1e-6);
}

TEST(BalanceLossValue, IsZeroForASequenceWithoutTokensThatCount) { EXPECT_EQ(loss_of({1, 0, 0, 1}, 2, 1, {0, 0}), 0); }

// Three experts, two tokens that count and one that is masked. The second run is given the choices of the first, with
// scores that would choose differently.
TEST(BalanceLossChoice, IsTakenFromAnotherComputationWhereItIsGiven) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    Arena arena{Device{kind}};
    Stream stream{Device{kind}};
    const Tensor loss = arena.take(DType::f32, {1}), scores = arena.take(DType::f32, {3, 3});
    const Tensor mask = arena.take(DType::u8, {3}), fraction = arena.take(DType::f32, {1, 3});
    const Tensor index = arena.take(DType::i32, {3, 2}), again = arena.take(DType::i32, {3, 2});
    set_values(mask, {1, 0, 1});
    auto run = [&](Tensor out, Tensor chosen, const std::vector<double>& values) {
      set_values(loss, {0});
      set_values(scores, values);
      balance_loss_forward(stream, {.loss = loss,
                                    .fraction = fraction,
                                    .index = out,
                                    .scores = scores,
                                    .chosen = chosen,
                                    .token_mask = mask,
                                    .length = 3,
                                    .num_chosen = 2,
                                    .alpha = 1});
      return values_of(fraction);
    };
    const auto free = run(index, {}, {3, 2, 1, 9, 9, 9, 1, 2, 3});
    EXPECT_EQ(values_of(index), (std::vector<double>{0, 1, -1, -1, 2, 1})) << name_of(kind);
    EXPECT_EQ(run(again, index, {1, 2, 3, 9, 9, 9, 3, 1, 2}), free) << name_of(kind);
    EXPECT_EQ(values_of(again), values_of(index)) << name_of(kind);
    EXPECT_NE(run({}, {}, {1, 2, 3, 9, 9, 9, 3, 1, 2}), free) << name_of(kind);
    set_values(again, {0, 3, 0, 0, 0, 0});
    EXPECT_THROW(run({}, again, {3, 2, 1, 9, 9, 9, 1, 2, 3}), BugError);
  }
}

TEST(BalanceLossErrors, RefusesALengthThatDoesNotDivideTheTokens) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor s = arena.take(DType::f32, {5, 2}), f = arena.take(DType::f32, {2, 2});
  EXPECT_THROW(balance_loss_forward(stream, {.loss = arena.take(DType::f32, {1}),
                                             .fraction = f,
                                             .index = {},
                                             .scores = s,
                                             .chosen = {},
                                             .token_mask = {},
                                             .length = 2,
                                             .num_chosen = 1,
                                             .alpha = 1.f}),
               UserError);
}

}  // namespace
}  // namespace birkhoff::test

#include "kernels/moe/balance_loss.h"

#include <cmath>
#include <iterator>
#include <utility>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

struct Size {
  int64_t sequences, length, E, K;
};

// The arguments that differ between tests.
struct Choice {
  Tensor scores, mask;
  int64_t sequences = 0, length = 0, num_chosen = 0, first = 0;
  Tensor index = {}, chosen = {};
};

// What balance_counts writes.
struct Sums {
  Tensor probability, counts;
};

Sums count(Stream& s, Arena& arena, const Choice& c) {
  const int64_t E = c.scores.shape[1];
  const Sums sums{arena.take(kBalanceSums, {c.sequences, E}), arena.take(kBalanceSums, {c.sequences, E + 1})};
  for (const Tensor& t : {sums.probability, sums.counts}) {
    set_values(t, std::vector<double>(static_cast<size_t>(t.count()), 7));  // which must be overwritten
  }
  balance_counts(s, {.probability = sums.probability,
                     .counts = sums.counts,
                     .index = c.index,
                     .scores = c.scores,
                     .chosen = c.chosen,
                     .token_mask = c.mask,
                     .first = c.first,
                     .length = c.length,
                     .num_chosen = c.num_chosen});
  return sums;
}

constexpr double kAlpha = 0.5;

OpCase balance_case(Size n, bool masked) {
  const int64_t T = n.sequences * n.length;
  OpCase c;
  c.parameter("scores", {T, n.E}, [](int64_t i) { return 0.1 + std::abs(normal(9)(i)); });
  c.output_f32("loss", {1}).statistic_output("fraction", {n.sequences, n.E});
  c.index_output("counts", {n.sequences, n.E + 1}, kBalanceSums);
  std::vector<int64_t> mask;
  for (int64_t t = 0; t < T; ++t) mask.push_back(t % 3 != 1);
  if (masked) c.index("mask", mask, DType::u8);
  c.forward([=](Stream& s, const Tensors& t) {
    Arena arena(s.device);
    const Sums sums = count(s, arena, {t["scores"], t["mask"], n.sequences, n.length, n.K});
    set_values(t["counts"], values_of(sums.counts));
    set_values(t["loss"], {0});
    balance_loss_forward(s, {.loss = t["loss"],
                             .fraction = t["fraction"],
                             .probability = sums.probability,
                             .counts = sums.counts,
                             .num_chosen = n.K,
                             .alpha = kAlpha});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    const auto dloss = static_cast<float>(values_of(t["d_loss"])[0]);
    balance_loss_backward(s, {.dscores = t["d_scores"],
                              .scores = t["scores"],
                              .fraction = t["fraction"],
                              .counts = t["counts"],
                              .token_mask = t["mask"],
                              .length = n.length,
                              .alpha = kAlpha,
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
                         testing::Values(Size{0, 4, 4, 2}, Size{1, 1, 1, 1}, Size{3, 5, 7, 2}, Size{2, 300, 16, 3},
                                         Size{2, 0, 4, 2}));

double loss_of(const std::vector<double>& scores, int64_t E, int64_t K, std::vector<double> mask = {}) {
  Arena arena{Device{}};
  Stream stream;
  const auto T = static_cast<int64_t>(scores.size()) / E;
  const Tensor loss = arena.take(DType::f32, {1}), s = arena.take(DType::f32, {T, E});
  set_values(loss, {1});
  set_values(s, scores);
  Tensor m;
  if (!mask.empty()) set_values(m = arena.take(DType::u8, {T}), mask);
  const Sums sums = count(stream, arena, {s, m, 1, T, K});
  balance_loss_forward(stream, {.loss = loss,
                                .fraction = arena.take(DType::f32, {1, E}),
                                .probability = sums.probability,
                                .counts = sums.counts,
                                .num_chosen = K,
                                .alpha = 0.25});
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
    const Tensor scores = arena.take(DType::f32, {3, 3}), mask = arena.take(DType::u8, {3});
    const Tensor index = arena.take(DType::i32, {3, 2}), again = arena.take(DType::i32, {3, 2});
    set_values(mask, {1, 0, 1});
    auto run = [&](Tensor out, Tensor chosen, const std::vector<double>& values) {
      set_values(scores, values);
      return values_of(count(stream, arena, {scores, mask, 1, 3, 2, 0, out, chosen}).counts);
    };
    const auto free = run(index, {}, {3, 2, 1, 9, 9, 9, 1, 2, 3});
    EXPECT_EQ(free, (std::vector<double>{1, 2, 1, 2})) << name_of(kind);
    EXPECT_EQ(values_of(index), (std::vector<double>{0, 1, -1, -1, 2, 1})) << name_of(kind);
    EXPECT_EQ(run(again, index, {1, 2, 3, 9, 9, 9, 3, 1, 2}), free) << name_of(kind);
    EXPECT_EQ(values_of(again), values_of(index)) << name_of(kind);
    EXPECT_NE(run({}, {}, {1, 2, 3, 9, 9, 9, 3, 1, 2}), free) << name_of(kind);
    set_values(again, {0, 3, 0, 0, 0, 0});
    EXPECT_THROW(run({}, again, {3, 2, 1, 9, 9, 9, 1, 2, 3}), BugError);
  }
}

// The loss, the counts and the gradients of a run of tokens of three sequences, all of whose counts are given.
class Runs {
 public:
  static constexpr int64_t kSequences = 3, kLength = 150, kTokens = kSequences * kLength, E = 5, K = 2;

  explicit Runs(DeviceKind kind) : arena_(Device{kind}), stream_{Device{kind}} {
    scores_ = arena_.take(DType::f32, {kTokens, E});
    mask_ = arena_.take(DType::u8, {kTokens});
    std::vector<double> scores, mask;
    for (int64_t i = 0; i < kTokens * E; ++i) scores.push_back(0.1 + std::abs(normal(9)(i)));
    for (int64_t t = 0; t < kTokens; ++t) mask.push_back(t % 3 != 1 && t / kLength != 1);  // none of the second counts
    set_values(scores_, scores);
    set_values(mask_, mask);
  }

  Sums sums(int64_t begin, int64_t end) {
    return count(stream_, arena_,
                 {scores_.rows(begin, end - begin), mask_.rows(begin, end - begin), kSequences, kLength, K, begin});
  }
  // The loss of these tokens, and their gradients.
  std::pair<double, std::vector<double>> finish(int64_t begin, int64_t end, Tensor probability, Tensor counts) {
    const Tensor loss = arena_.take(DType::f32, {1}), fraction = arena_.take(DType::f32, {kSequences, E});
    const Tensor dscores = arena_.take(DType::f32, {end - begin, E});
    set_values(loss, {0});
    balance_loss_forward(stream_, {.loss = loss,
                                   .fraction = fraction,
                                   .probability = probability,
                                   .counts = counts,
                                   .num_chosen = K,
                                   .alpha = kAlpha});
    balance_loss_backward(stream_, {.dscores = dscores,
                                    .scores = scores_.rows(begin, end - begin),
                                    .fraction = fraction,
                                    .counts = counts,
                                    .token_mask = mask_.rows(begin, end - begin),
                                    .first = begin,
                                    .length = kLength,
                                    .alpha = kAlpha});
    return {values_of(loss)[0], values_of(dscores)};
  }

 private:
  Arena arena_;
  Stream stream_;
  Tensor scores_, mask_;
};

// Runs that begin and end inside sequences, one over a whole sequence, one of no tokens.
TEST(BalanceLossOfRuns, AddsUpToThatOfAllTokens) {
  const int64_t ends[] = {0, 40, 40, 310, 449, Runs::kTokens};
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    Runs runs(kind);
    const Sums all = runs.sums(0, Runs::kTokens);
    const auto [loss, dscores] = runs.finish(0, Runs::kTokens, all.probability, all.counts);
    std::vector<double> counts(values_of(all.counts).size()), joined;
    double sum = 0;
    for (size_t i = 0; i + 1 < std::size(ends); ++i) {
      const Sums own = runs.sums(ends[i], ends[i + 1]);
      const auto part = values_of(own.counts);
      for (size_t k = 0; k < part.size(); ++k) counts[k] += part[k];
      const auto [own_loss, own_dscores] = runs.finish(ends[i], ends[i + 1], own.probability, all.counts);
      sum += own_loss;
      joined.insert(joined.end(), own_dscores.begin(), own_dscores.end());
    }
    const DType dtype = kind == DeviceKind::cpu ? DType::f32 : DType::f64;
    EXPECT_EQ(counts, values_of(all.counts)) << name_of(kind);
    EXPECT_EQ(joined, dscores) << name_of(kind);
    EXPECT_NEAR(sum, loss, loss * bound(dtype, Runs::kLength)) << name_of(kind);
  }
}

TEST(BalanceLossErrors, RefusesTokensOutsideTheSequences) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor s = arena.take(DType::f32, {5, 2});
  set_values(s, std::vector<double>(10, 1));
  EXPECT_NO_THROW(count(stream, arena, {s, {}, 3, 2, 1, 1}));
  EXPECT_THROW(count(stream, arena, {s, {}, 2, 2, 1}), UserError);
  EXPECT_THROW(count(stream, arena, {s, {}, 3, 2, 1, 2}), UserError);
  EXPECT_THROW(count(stream, arena, {s, {}, 3, 2, 1, -1}), UserError);
  EXPECT_THROW(count(stream, arena, {s, {}, 3, 0, 1}), UserError) << "a sequence of length 0 has no tokens";
  EXPECT_THROW(count(stream, arena, {s, {}, 3, 2, 3}), UserError) << "three of two experts";
}

}  // namespace
}  // namespace birkhoff::test

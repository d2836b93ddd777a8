#include "kernels/loss/cross_entropy_part.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

// Two parts of a vocabulary: the ids of `a` and, after them, those of `b`.
struct Size {
  int64_t T, Va, Vb;
};

// Every third row has no loss.
std::vector<int64_t> targets(int64_t T, int64_t V) {
  std::vector<int64_t> out;
  for (int64_t t = 0; t < T; ++t) out.push_back(t % 3 == 2 ? -1 : t * 7 % V);
  return out;
}

// The arguments of one of the two parts. Part a counts the first half of the rows.
CrossEntropyPartArgs part_args(const Tensors& t, bool b) {
  const int64_t Va = t["a"].shape[1], T = t["a"].shape[0];
  CrossEntropyPartArgs args;
  args.logits = t[b ? "b" : "a"];
  args.statistics = t["statistics"];
  args.targets = t["targets"];
  args.weight = t["weight"];
  args.first = b ? Va : 0;
  args.vocabulary = Va + t["b"].shape[1];
  args.counted_begin = b ? T / 2 : 0;
  args.counted = b ? T - T / 2 : T / 2;
  args.z_loss = 0.05;
  return args;
}

OpCase parts_case(Size n) {
  const auto [T, Va, Vb] = n;
  OpCase c;
  c.parameter("a", {T, Va}, normal(1, 3)).parameter("b", {T, Vb}, normal(2, 3));
  c.index("targets", targets(T, Va + Vb), DType::i32, {T});
  c.parameter("weight", {T}, [](int64_t t) { return 0.5 + 0.25 * static_cast<double>(t % 3); });
  c.statistic_output("statistics", {2, T, 3}).statistic_output("nll_a", {T}).statistic_output("nll_b", {T});
  c.output_f32("loss", {1}).output("rounded_a", {T, Va}).output("rounded_b", {T, Vb});
  c.forward([](Stream& s, const Tensors& t) {
    const int64_t rows = t["a"].shape[0];
    set_values(t["loss"], {0});
    for (const bool b : {false, true}) {
      const CrossEntropyPartArgs args = part_args(t, b);
      cross_entropy_statistics(s, {.statistics = t["statistics"].flat(b ? rows * 3 : 0, rows * 3).view({rows, 3}),
                                   .logits = args.logits,
                                   .targets = args.targets,
                                   .first = args.first,
                                   .vocabulary = args.vocabulary});
    }
    for (const bool b : {false, true}) {
      CrossEntropyPartArgs args = part_args(t, b);
      args.loss = t["loss"];
      args.nll = t[b ? "nll_b" : "nll_a"];
      args.dlogits = t[b ? "rounded_b" : "rounded_a"];
      cross_entropy_part(s, args);
    }
  });
  c.backward([](Stream& s, const Tensors& t) {
    for (const bool b : {false, true}) {
      CrossEntropyPartArgs args = part_args(t, b);
      args.dlogits = t[b ? "d_b" : "d_a"];
      cross_entropy_part(s, args);
      auto d = values_of(args.dlogits);
      for (double& value : d) value *= values_of(t["d_loss"])[0];
      set_values(args.dlogits, d);
    }
  });
  return c;
}

class CrossEntropyOfParts : public testing::TestWithParam<Size> {};

TEST_P(CrossEntropyOfParts, CpuEqualsReference) {
  const Size n = GetParam();
  parts_case(n).expect_cpu_equals_reference(n.T + n.Va + n.Vb, 4);
}

TEST_P(CrossEntropyOfParts, GradientMatchesFiniteDifferences) {
  parts_case(GetParam()).expect_gradients({"a", "b"}, {"loss"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, CrossEntropyOfParts,
                         testing::Values(Size{0, 4, 3}, Size{1, 1, 1}, Size{5, 3, 4}, Size{70, 33, 98}));

TEST(CrossEntropyPart, WithoutIdsChangesNoGradient) {
  parts_case({4, 0, 5}).expect_gradients({"b"}, {"loss"});
  parts_case({4, 5, 0}).expect_gradients({"a"}, {"loss"});
}

TEST(CrossEntropyPart, GivesTheStatisticsOfItsIdsAndOfNone) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    Arena arena{Device{kind}};
    Stream stream{Device{kind}};
    const Tensor targets = arena.take(DType::i32, {2}), out = arena.take(DType::f32, {2, 3});
    const auto statistics = [&](Tensor logits, int64_t first) {
      cross_entropy_statistics(
          stream, {.statistics = out, .logits = logits, .targets = targets, .first = first, .vocabulary = 4});
      return values_of(out);
    };
    const Tensor logits = arena.take(DType::f32, {2, 2});
    set_values(logits, {5, 5, -3, -1000});
    set_values(targets, {1, 2});
    EXPECT_EQ(statistics(logits, 2), (std::vector<double>{5, 2, 0, -3, 1, -3})) << name_of(kind);
    const double nothing = -std::numeric_limits<double>::infinity();
    EXPECT_EQ(statistics(arena.take(DType::f32, {2, 0}), 2), (std::vector<double>{nothing, 0, 0, nothing, 0, 0}));
  }
}

TEST(CrossEntropyPart, NotANumberInTheLogitsOfOnePartReachesTheLossOfAllParts) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    Arena arena{Device{kind}};
    Stream stream{Device{kind}};
    const auto row = [&](Shape shape, std::vector<double> values) {
      const Tensor t = arena.take(DType::f32, shape);
      set_values(t, values);
      return t;
    };
    const Tensor targets = arena.take(DType::i32, {1}), loss = row({1}, {0}),
                 statistics = row({2, 1, 3}, std::vector<double>(6));
    set_values(targets, {3});
    cross_entropy_statistics(stream, {.statistics = statistics.rows(0, 1).view({1, 3}),
                                      .logits = row({1, 2}, {std::nan(""), 1}),
                                      .targets = targets,
                                      .vocabulary = 4});
    const Tensor own = row({1, 2}, {1, 2});
    cross_entropy_statistics(stream, {.statistics = statistics.rows(1, 1).view({1, 3}),
                                      .logits = own,
                                      .targets = targets,
                                      .first = 2,
                                      .vocabulary = 4});
    cross_entropy_part(stream, {.loss = loss,
                                .nll = {},
                                .dlogits = {},
                                .logits = own,
                                .statistics = statistics,
                                .targets = targets,
                                .weight = row({1}, {1}),
                                .first = 2,
                                .vocabulary = 4,
                                .counted = 1});
    EXPECT_TRUE(std::isnan(values_of(loss)[0])) << name_of(kind);
  }
}

TEST(CrossEntropyPart, RefusesShapesThatDisagreeAndTargetsOutsideTheVocabulary) {
  Arena arena{Device{}};
  Stream stream;
  const auto take = [&](Shape shape) {
    const Tensor t = arena.take(DType::f32, shape);
    set_values(t, std::vector<double>(static_cast<size_t>(t.count()), 1));
    return t;
  };
  const Tensor targets = arena.take(DType::i32, {2});
  set_values(targets, {0, 4});
  const auto statistics = [&](Tensor out, Tensor of, int64_t vocabulary) {
    cross_entropy_statistics(
        stream, {.statistics = out, .logits = take({2, 3}), .targets = of, .first = 1, .vocabulary = vocabulary});
  };
  EXPECT_NO_THROW(statistics(take({2, 3}), targets, 5));
  EXPECT_THROW(statistics(take({2, 3}), targets, 4), BugError) << "4 is no id of the vocabulary";
  EXPECT_THROW(statistics(take({2, 3}), targets, 3), UserError) << "the part ends behind the vocabulary";
  EXPECT_THROW(statistics(take({3, 3}), targets, 5), UserError);
  EXPECT_THROW(statistics(take({2, 3}), targets.rows(0, 1), 5), UserError);
  const auto finish = [&](Tensor all, int64_t counted_begin, int64_t vocabulary) {
    cross_entropy_part(stream, {.loss = take({1}),
                                .nll = {},
                                .dlogits = {},
                                .logits = take({2, 3}),
                                .statistics = all,
                                .targets = targets,
                                .weight = take({2}),
                                .vocabulary = vocabulary,
                                .counted_begin = counted_begin,
                                .counted = 1});
  };
  EXPECT_NO_THROW(finish(take({4, 2, 3}), 1, 5));
  EXPECT_THROW(finish(take({4, 2, 3}), 1, 4), BugError);
  EXPECT_THROW(finish(take({4, 2, 3}), 2, 5), UserError);
  EXPECT_THROW(finish(take({4, 2, 2}), 1, 5), UserError);
}

}  // namespace
}  // namespace birkhoff::test

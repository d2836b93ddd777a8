#include "kernels/optim/adamw.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

AdamWHyper hyper_of(int64_t step) { return {1e-2, 0.9, 0.95, 1e-8, 0.1, 0.5, step}; }

// The moments and the copy may be f32 or bf16, so the case declares them as activations.
OpCase adamw_case(int64_t count, bool copied) {
  OpCase c;
  c.parameter("grad", {count}).parameter("weight0", {count});
  c.output_f32("weight", {count}).output("m", {count}).output("v", {count}).output("copy", {count});
  c.forward([=](Stream& s, const Tensors& t) {
    set_values(t["weight"], values_of(t["weight0"]));
    for (const char* name : {"m", "v", "copy"}) set_values(t[name], std::vector<double>(static_cast<size_t>(count), 0));
    adamw(s, {.weight = t["weight"],
              .m = t["m"],
              .v = t["v"],
              .weight_copy = copied ? t["copy"] : Tensor{},
              .grad = t["grad"],
              .hyper = hyper_of(1)});
  });
  return c;
}

TEST(AdamW, CpuEqualsReference) {
  for (const int64_t count : {0, 1, 7, 4096, 40001}) {
    adamw_case(count, true).expect_cpu_equals_reference(1);
    adamw_case(count, false).expect_cpu_equals_reference(1);
  }
}

// Three steps of one scalar, written out in full.
TEST(AdamW, FollowsTheFormula) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    Arena arena{Device{kind}};
    Stream stream{Device{kind}};
    AdamWArgs a{.weight = arena.take(DType::f32, {1}),
                .m = arena.take(DType::f32, {1}),
                .v = arena.take(DType::f32, {1}),
                .weight_copy = {},
                .grad = arena.take(DType::f32, {1}),
                .hyper = {}};
    for (const Tensor& t : {a.weight, a.m, a.v}) set_values(t, {0});
    set_values(a.weight, {2});
    double w = 2, m = 0, v = 0;
    for (int step = 1; step <= 3; ++step) {
      const double g = 0.25 * step;
      set_values(a.grad, {2 * g});
      a.hyper = hyper_of(step);
      adamw(stream, a);
      m = 0.9 * m + 0.1 * g;
      v = 0.95 * v + 0.05 * g * g;
      w = w - 1e-2 * 0.1 * w -
          1e-2 * (m / (1 - std::pow(0.9, step))) / (std::sqrt(v / (1 - std::pow(0.95, step))) + 1e-8);
      EXPECT_NEAR(values_of(a.weight)[0], w, 3e-7);
    }
  }
}

// Shards of any size give the same weights, so a run may resume on another number of ranks.
TEST(AdamW, GivesTheSameBitsHoweverTheRangeIsCut) {
  Arena arena{Device{}};
  Stream stream;
  const int64_t n = 10007;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    std::vector<AdamWArgs> runs;
    for (const int64_t piece : {n, int64_t{1000}, int64_t{37}}) {
      AdamWArgs a{.weight = arena.take(DType::f32, {n}),
                  .m = arena.take(dtype, {n}),
                  .v = arena.take(dtype, {n}),
                  .weight_copy = {},
                  .grad = arena.take(DType::f32, {n}),
                  .hyper = hyper_of(7)};
      for (const Tensor& t : {a.weight, a.m, a.v, a.grad}) {
        std::vector<double> values;
        for (int64_t i = 0; i < n; ++i) values.push_back(std::abs(normal(6)(i)));
        set_values(t, values);
      }
      for (int64_t i = 0; i < n; i += piece) {
        const int64_t count = std::min(piece, n - i);
        adamw(stream, {.weight = a.weight.flat(i, count),
                       .m = a.m.flat(i, count),
                       .v = a.v.flat(i, count),
                       .weight_copy = {},
                       .grad = a.grad.flat(i, count),
                       .hyper = a.hyper});
      }
      runs.push_back(a);
    }
    for (const AdamWArgs& a : runs) {
      EXPECT_EQ(values_of(a.weight), values_of(runs[0].weight));
      EXPECT_EQ(values_of(a.v), values_of(runs[0].v));
    }
  }
}

TEST(AdamW, SurvivesTinyGradientsWithATinyEps) {
  Arena arena{Device{}};
  Stream stream;
  const std::vector<double> tiny{0, 1e-38, 1e-30, 1e-25, 1e-22, 1e-20, 1e-10};
  const auto n = static_cast<int64_t>(tiny.size());
  AdamWArgs a{.weight = arena.take(DType::f32, {n}),
              .m = arena.take(DType::f32, {n}),
              .v = arena.take(DType::f32, {n}),
              .weight_copy = {},
              .grad = arena.take(DType::f32, {n}),
              .hyper = {1, 0.9, 0.95, 1e-20, 0, 1, 1}};
  for (const Tensor& t : {a.weight, a.m, a.v}) set_values(t, std::vector<double>(tiny.size(), 0));
  set_values(a.grad, tiny);
  adamw(stream, a);
  for (double w : values_of(a.weight)) EXPECT_TRUE(w <= 0 && w >= -1.001) << w;
}

TEST(AdamW, LetsMomentsWithoutGradientsEndAsZeros) {
  Arena arena{Device{}};
  Stream stream;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    AdamWArgs a{.weight = arena.take(DType::f32, {1}),
                .m = arena.take(dtype, {1}),
                .v = arena.take(dtype, {1}),
                .weight_copy = {},
                .grad = arena.take(DType::f32, {1}),
                .hyper = {1e-2, 0.9, 0.95, 1e-8, 0, 1, 1}};
    for (const Tensor& t : {a.weight, a.m, a.v}) set_values(t, {1});
    set_values(a.grad, {0});
    for (; a.hyper.step < 2000; ++a.hyper.step) adamw(stream, a);
    EXPECT_EQ(values_of(a.m)[0], 0);
    EXPECT_EQ(values_of(a.v)[0], 0);
  }
}

TEST(AdamW, RefusesABf16MomentThatCouldNotDecay) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor x = arena.take(DType::f32, {2}), v = arena.take(DType::bf16, {2});
  for (const Tensor& t : {x, v}) set_values(t, {0, 0});
  EXPECT_THROW(adamw(stream, {.weight = x, .m = x, .v = v, .weight_copy = {}, .grad = x, .hyper = {1e-2, 0.9, 0.999}}),
               UserError);
  EXPECT_NO_THROW(adamw(stream, {.weight = x,
                                 .m = arena.take(DType::f32, {2}),
                                 .v = v,
                                 .weight_copy = {},
                                 .grad = arena.take(DType::f32, {2}),
                                 .hyper = {0, 0.999, 0.95}}));
}

struct Table {
  explicit Table(DeviceKind kind = DeviceKind::cpu) : arena(Device{kind}), stream{Device{kind}} {
    for (Tensor* t : {&a.weight, &a.m, &a.v, &a.weight_copy}) {
      *t = arena.take(t == &a.weight_copy ? DType::bf16 : DType::f32, {6, 5});
      set_values(*t, std::vector<double>(30, 0.5));
    }
    a.hyper = hyper_of(4);
  }
  void rows(std::vector<double> ids, DType dtype) {
    const auto U = static_cast<int64_t>(ids.size());
    a.rows = arena.take(dtype, {U});
    set_values(a.rows, ids);
    a.grad = arena.take(DType::f32, {U, 5});
    std::vector<double> g;
    for (int64_t i = 0; i < U * 5; ++i) g.push_back(normal(8)(i));
    set_values(a.grad, g);
    adamw_rows(stream, a);
  }
  Arena arena;
  Stream stream;
  AdamWRowsArgs a;
};

TEST(AdamWRows, EqualsTheDenseUpdateOfTheListedRowsAndLeavesTheOthers) {
  for (const DType dtype : {DType::i32, DType::i64}) {
    Table t;
    t.rows({1, 4}, dtype);
    Table dense;
    for (const auto& [row, u] : {std::pair{1, 0}, std::pair{4, 1}}) {
      adamw(dense.stream, {.weight = dense.a.weight.rows(row, 1),
                           .m = dense.a.m.rows(row, 1),
                           .v = dense.a.v.rows(row, 1),
                           .weight_copy = dense.a.weight_copy.rows(row, 1),
                           .grad = t.a.grad.rows(u, 1),
                           .hyper = t.a.hyper});
    }
    EXPECT_EQ(values_of(t.a.weight), values_of(dense.a.weight));
    EXPECT_EQ(values_of(t.a.m), values_of(dense.a.m));
    EXPECT_EQ(values_of(t.a.v), values_of(dense.a.v));
    EXPECT_EQ(values_of(t.a.weight_copy), values_of(dense.a.weight_copy));
    EXPECT_EQ(values_of(t.a.weight.rows(0, 1)), std::vector<double>(5, 0.5));
  }
}

TEST(AdamWRows, SkipsIdsOfOtherShardsAndPadding) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    Table shard(kind), whole(kind);
    shard.a.first_row = 10;
    shard.rows({-1, 3, 11, 14, 16, 900}, DType::i64);
    whole.rows({-3, -2, 1, 4, 6, 7}, DType::i64);
    EXPECT_EQ(values_of(shard.a.weight), values_of(whole.a.weight));
    EXPECT_NE(values_of(shard.a.weight.rows(1, 1)), std::vector<double>(5, 0.5));
    EXPECT_EQ(values_of(shard.a.weight.rows(0, 1)), std::vector<double>(5, 0.5));
  }
}

TEST(AdamWRows, AcceptsAnEmptyList) {
  Table t;
  t.rows({}, DType::i32);
  EXPECT_EQ(values_of(t.a.weight), std::vector<double>(30, 0.5));
}

TEST(AdamW, RefusesStepZeroAndCountsThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor x = arena.take(DType::f32, {2}), y = arena.take(DType::f32, {3});
  EXPECT_THROW(adamw(stream, {.weight = x, .m = x, .v = x, .weight_copy = {}, .grad = x, .hyper = hyper_of(0)}),
               UserError);
  EXPECT_THROW(adamw(stream, {.weight = x, .m = x, .v = y, .weight_copy = {}, .grad = x, .hyper = hyper_of(1)}),
               UserError);
  EXPECT_THROW(adamw(stream, {.weight = x, .m = x, .v = x, .weight_copy = {}, .grad = y, .hyper = hyper_of(1)}),
               UserError);
}

}  // namespace
}  // namespace birkhoff::test

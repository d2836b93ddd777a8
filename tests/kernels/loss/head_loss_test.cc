#include "kernels/loss/head_loss.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

Recipe recipe_for(DType activation) { return activation == DType::bf16 ? Recipe::bf16 : Recipe::f32; }

OpCase head_case(int64_t T, int64_t C, int64_t V) {
  OpCase c;
  std::vector<int64_t> targets;
  for (int64_t t = 0; t < T; ++t) targets.push_back(t % 4 == 1 ? -1 : t * 5 % V);
  c.activation("x", {T, C}).parameter("head", {V, C}).index("targets", targets);
  c.parameter("weight", {T}, constant(0.25)).output_f32("loss", {1}).statistic_output("nll", {T});
  c.forward([=](Stream& s, const Tensors& t) {
    Arena arena(s.device);
    const auto gemms = Precision(recipe_for(t["x"].dtype)).linear(V, C, GemmRole::head);
    set_values(t["loss"], {0});
    head_loss(s, arena, *gemms,
              {.loss = t["loss"],
               .nll = t["nll"],
               .dx = {},
               .dhead = {},
               .x = t["x"],
               .targets = t["targets"],
               .weight = t["weight"],
               .head = {t["head"]},
               .z_loss = 1e-3f});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    Arena arena(s.device);
    const auto gemms = Precision(recipe_for(t["x"].dtype)).linear(V, C, GemmRole::head);
    const Tensor loss = arena.take(DType::f32, {1});
    set_values(loss, {0});
    head_loss(s, arena, *gemms,
              {.loss = loss,
               .nll = {},
               .dx = t["d_x"],
               .dhead = t["d_head"],
               .x = t["x"],
               .targets = t["targets"],
               .weight = t["weight"],
               .head = {t["head"]},
               .z_loss = 1e-3f});
    EXPECT_EQ(values_of(loss), values_of(t["loss"]));
  });
  return c;
}

// The weights, the gradients of the logits and the result are each rounded to bf16. The gradients of a row of logits
// sum to zero, so sums over them partly cancel, which magnifies these errors.
constexpr double kThreeRoundings = 8;

TEST(HeadLoss, CpuEqualsReference) {
  head_case(0, 4, 8).expect_cpu_equals_reference(8);
  head_case(7, 5, 9).expect_cpu_equals_reference(64, kThreeRoundings);
  head_case(130, 24, 100).expect_cpu_equals_reference(256, kThreeRoundings);
}

TEST(HeadLoss, GradientsMatchFiniteDifferences) {
  OpCase c = head_case(5, 4, 7);
  c.backward([](Stream& s, const Tensors& t) {
    Arena arena(s.device);
    const auto gemms = Precision(Recipe::f32).linear(7, 4, GemmRole::head);
    head_loss(s, arena, *gemms,
              {.loss = {},
               .nll = {},
               .dx = t["d_x"],
               .dhead = t["d_head"],
               .x = t["x"],
               .targets = t["targets"],
               .weight = t["weight"],
               .head = {t["head"]},
               .z_loss = 1e-3f});
    const double outer = t["d_loss"].as<double>()[0];
    for (const char* name : {"d_x", "d_head"}) {
      for (int64_t i = 0; i < t[name].count(); ++i) t[name].as<double>()[i] *= outer;
    }
  });
  c.expect_gradients({"x", "head"}, {"loss"});
}

// With a vocabulary of 70000 a chunk has 64 rows, so 150 tokens are three chunks.
TEST(HeadLoss, SeveralChunksEqualSeparateCallsForPartsOfTheRows) {
  const int64_t T = 150, C = 4, V = 70000;
  ASSERT_EQ(head_loss_rows(V), 64);
  Arena arena{Device{}};
  Stream stream;
  const auto take = [&](Shape shape, uint64_t key) {
    const Tensor t = arena.take(DType::f32, shape);
    for (int64_t i = 0; i < t.count(); ++i) t.f32()[i] = static_cast<float>(normal(key)(i));
    return t;
  };
  const Tensor x = take({T, C}, 1), head = take({V, C}, 2), weight = take({T}, 3),
               targets = arena.take(DType::i32, {T});
  for (int64_t t = 0; t < T; ++t) targets.as<int32_t>()[t] = static_cast<int32_t>(t * 463 % V);
  const auto gemms = Precision(Recipe::f32).linear(V, C, GemmRole::head);
  const auto run = [&](int64_t begin, int64_t num, Tensor nll, Tensor dx, Tensor dhead) {
    const Tensor loss = arena.take(DType::f32, {1});
    set_values(loss, {0});
    head_loss(stream, arena, *gemms,
              {.loss = loss,
               .nll = nll,
               .dx = dx,
               .dhead = dhead,
               .x = x.rows(begin, num),
               .targets = targets.rows(begin, num),
               .weight = weight.rows(begin, num),
               .head = {head}});
    return static_cast<double>(loss.f32()[0]);
  };
  const auto zero = [&] {
    const Tensor t = arena.take(DType::f32, {V, C});
    set_values(t, std::vector<double>(static_cast<size_t>(V * C), 0));
    return t;
  };
  const Tensor nll = arena.take(DType::f32, {T}), dx = arena.take(DType::f32, {T, C}), dhead = zero();
  const Tensor nll1 = arena.take(DType::f32, {T}), dx1 = arena.take(DType::f32, {T, C}), dhead1 = zero();
  const double together = run(0, T, nll, dx, dhead);
  double apart = 0;
  for (int64_t t = 0; t < T; t += 50) {
    apart += run(t, 50, nll1.rows(t, 50), dx1.rows(t, 50), dhead1);
  }
  EXPECT_NEAR(together, apart, 1e-5 * std::abs(apart));
  EXPECT_LE(scaled_error(values_of(nll), values_of(nll1)), bound(DType::f32, C));
  EXPECT_LE(scaled_error(values_of(dx), values_of(dx1)), bound(DType::f32, V));
  EXPECT_LE(scaled_error(values_of(dhead), values_of(dhead1)), bound(DType::f32, T));
}

TEST(HeadLoss, HoldsOneChunkOfLogits) {
  const int64_t T = 4096, C = 8, V = 8192;
  Arena arena{Device{DeviceKind::meta}}, temporaries{Device{DeviceKind::meta}};
  Stream stream{arena.device()};
  const Tensor x = arena.take(DType::bf16, {T, C}), dx = arena.take(DType::bf16, {T, C});
  const auto gemms = Precision(Recipe::bf16).linear(V, C, GemmRole::head);
  head_loss(stream, temporaries, *gemms,
            {.loss = arena.take(DType::f32, {1}),
             .nll = {},
             .dx = dx,
             .dhead = arena.take(DType::f32, {V, C}),
             .x = x,
             .targets = arena.take(DType::i32, {T}),
             .weight = arena.take(DType::f32, {T}),
             .head = {arena.take(DType::f32, {V, C})}});
  EXPECT_EQ(temporaries.used_bytes(), 0u);
  EXPECT_EQ(temporaries.peak_bytes(), static_cast<size_t>(head_loss_rows(V) * V) * (4 + 2));
  EXPECT_LT(temporaries.peak_bytes(), static_cast<size_t>(T * V) * 4);
}

TEST(HeadLoss, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const auto gemms = Precision(Recipe::f32).linear(8, 4, GemmRole::head);
  const Tensor x = arena.take(DType::f32, {3, 4}), head = arena.take(DType::f32, {8, 4});
  HeadLossArgs args{.loss = arena.take(DType::f32, {1}),
                    .nll = {},
                    .dx = {},
                    .dhead = {},
                    .x = x,
                    .targets = arena.take(DType::i32, {2}),
                    .weight = arena.take(DType::f32, {3}),
                    .head = {head}};
  EXPECT_THROW(head_loss(stream, arena, *gemms, args), UserError);
}

}  // namespace
}  // namespace birkhoff::test

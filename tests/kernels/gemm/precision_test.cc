#include "kernels/gemm/precision.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

Recipe recipe_for(DType activation) { return activation == DType::bf16 ? Recipe::bf16 : Recipe::f32; }

OpCase linear_case(int64_t T, int64_t O, int64_t I, GemmRole role = GemmRole::linear) {
  OpCase c;
  c.activation("x", {T, I}).parameter("w", {O, I}).output("y", {T, O}).output_f32("wide", {T, O});
  c.forward([=](Stream& s, const Tensors& t) {
    const auto gemms = Precision(recipe_for(t["x"].dtype)).linear(O, I, role);
    gemms->forward(s, t["y"], t["x"], {t["w"]});
    gemms->forward(s, t["wide"], t["x"], {t["w"]});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    const auto gemms = Precision(recipe_for(t["x"].dtype)).linear(O, I, role);
    gemms->backward_input(s, t["d_x"], t["d_y"], {t["w"]});
    gemms->backward_weight(s, t["d_w"], t["d_y"], t["x"]);
  });
  return c;
}

OpCase biased_case(int64_t T, int64_t O, int64_t I, GemmRole role) {
  OpCase c;
  c.activation("x", {T, I}).parameter("w", {O, I}).parameter("bias", {O}).output("y", {T, O});
  c.output_f32("wide", {T, O});
  c.forward([=](Stream& s, const Tensors& t) {
    const auto gemms = Precision(recipe_for(t["x"].dtype)).linear(O, I, role);
    gemms->forward(s, t["y"], t["x"], {t["w"], 0, t["bias"]});
    gemms->forward(s, t["wide"], t["x"], {t["w"], 0, t["bias"]});
  });
  return c;
}

OpCase grouped_case(std::vector<int64_t> offsets, int64_t O, int64_t I) {
  OpCase c;
  const int64_t E = static_cast<int64_t>(offsets.size()) - 1, R = offsets.back();
  c.activation("x", {R, I}).parameter("w", {E, O, I}).output("y", {R, O}).index("offsets", offsets, DType::i64);
  c.forward([=](Stream& s, const Tensors& t) {
    Precision(recipe_for(t["x"].dtype)).grouped(E, O, I)->forward(s, t["y"], t["x"], {t["w"]}, t["offsets"]);
  });
  c.backward([=](Stream& s, const Tensors& t) {
    const auto gemms = Precision(recipe_for(t["x"].dtype)).grouped(E, O, I);
    gemms->backward_input(s, t["d_x"], t["d_y"], {t["w"]}, t["offsets"]);
    gemms->backward_weight(s, t["d_w"], t["d_y"], t["x"], t["offsets"]);
  });
  return c;
}

// Weights are rounded to bf16 before the product, which adds as much error as the rounding of the result.
constexpr double kWeightRounding = 2;

TEST(Precision, LinearOnTheCpuEqualsReference) {
  for (const GemmRole role : {GemmRole::linear, GemmRole::head, GemmRole::exact}) {
    linear_case(0, 3, 5, role).expect_cpu_equals_reference(5);
    linear_case(1, 3, 5, role).expect_cpu_equals_reference(5, kWeightRounding);
    linear_case(77, 65, 130, role).expect_cpu_equals_reference(130, kWeightRounding);
  }
}

TEST(Precision, LinearAddsABiasWhereOneIsGiven) {
  for (const GemmRole role : {GemmRole::linear, GemmRole::head, GemmRole::exact}) {
    biased_case(0, 3, 5, role).expect_cpu_equals_reference(5);
    biased_case(1, 3, 5, role).expect_cpu_equals_reference(5, kWeightRounding);
    biased_case(77, 65, 130, role).expect_cpu_equals_reference(130, kWeightRounding);
  }
  // The reference shows what is added: with zero weights, the bias itself.
  for (const Recipe recipe : {Recipe::f32, Recipe::bf16, Recipe::fp8_block}) {
    OpCase c;
    c.parameter("x", {5, 7}).parameter("w", {3, 7}, constant(0)).parameter("bias", {3}).output_f32("y", {5, 3});
    c.activation("narrow", {5, 7});
    c.forward([=](Stream& s, const Tensors& t) {
      const Tensor x = recipe == Recipe::f32 ? t["x"] : t["narrow"];
      Precision(recipe).linear(3, 7)->forward(s, t["y"], x, {t["w"], 0, t["bias"]});
    });
    const auto bias = c.result(Device{}, DType::bf16, "bias"), y = c.result(Device{}, DType::bf16, "y");
    for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], bias[i % 3]) << name_of(recipe);
  }
}

TEST(Precision, RefusesABiasOfAnotherWidth) {
  Arena arena{Device{}};
  Stream stream;
  const auto take = [&](Shape shape) { return arena.take(DType::f32, shape); };
  const auto gemms = Precision(Recipe::f32).linear(3, 2);
  EXPECT_THROW(gemms->forward(stream, take({1, 3}), take({1, 2}), {take({3, 2}), 0, take({2})}), UserError);
}

TEST(Precision, GroupedOnTheCpuEqualsReference) {
  grouped_case({0, 0, 0}, 3, 5).expect_cpu_equals_reference(5);
  grouped_case({0, 3, 3, 80, 100}, 65, 33).expect_cpu_equals_reference(100, kWeightRounding);
}

TEST(Precision, BackwardMatchesFiniteDifferences) {
  linear_case(3, 4, 5).expect_gradients({"x", "w"}, {"y"});
  grouped_case({0, 3, 3, 5}, 4, 5).expect_gradients({"x", "w"}, {"y"});
}

TEST(Precision, ExactRoleKeepsF32WeightsUnderABf16Recipe) {
  // Small integers are exact in bf16, so only the weights can be rounded.
  OpCase c;
  c.activation("x", {4, 64}, [](int64_t i) { return static_cast<double>(i % 5) - 2; });
  c.parameter("w", {3, 64}).output_f32("y", {4, 3});
  const auto with = [&](GemmRole role) {
    c.forward([=](Stream& s, const Tensors& t) {
      Precision(Recipe::bf16).linear(3, 64, role)->forward(s, t["y"], t["x"], {t["w"]});
    });
  };
  with(GemmRole::exact);
  const auto expected = c.result(Device{DeviceKind::reference}, DType::f32, "y");
  EXPECT_LE(scaled_error(c.result(Device{}, DType::bf16, "y"), expected), bound(DType::f32, 64));
  with(GemmRole::linear);
  EXPECT_GT(scaled_error(c.result(Device{}, DType::bf16, "y"), expected), bound(DType::f32, 64));
}

TEST(Precision, WeightsArePackedAgainOnlyWhenTheirVersionChanges) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor x = arena.take(DType::f32, {1, 1}), y = arena.take(DType::f32, {1, 1}),
               w = arena.take(DType::f32, {1, 1});
  set_values(x, {2});
  const auto gemms = Precision(Recipe::f32).linear(1, 1);
  const auto forward = [&](double value, uint64_t version) {
    set_values(w, {value});
    gemms->forward(stream, y, x, {w, version});
    return y.f32()[0];
  };
  EXPECT_EQ(forward(3, 0), 6.0f);
  EXPECT_EQ(forward(5, 0), 6.0f);
  EXPECT_EQ(forward(5, 1), 10.0f);
}

TEST(Precision, TheMetaDeviceCountsTheBytesThatTheCpuHolds) {
  const auto bytes = [](DeviceKind kind, Recipe recipe) {
    Arena arena{Device{kind}};
    Stream stream{Device{kind}};
    const Precision precision(recipe);
    const auto take = [&](Shape s) { return arena.take(precision.activation(), s); };
    const Weight w{arena.take(DType::f32, {70, 40})}, experts{arena.take(DType::f32, {3, 70, 40})};
    const Tensor offsets = arena.take(DType::i64, {4});
    if (offsets.data) {
      set_values(offsets, {0, 2, 2, 5});
      set_values(w.value, std::vector<double>(70 * 40, 1));
      set_values(experts.value, std::vector<double>(3 * 70 * 40, 1));
    }
    const Tensor x = take({5, 40}), y = take({5, 70});
    if (x.data) set_values(x, std::vector<double>(5 * 40, 1));
    const auto linear = precision.linear(70, 40);
    const auto grouped = precision.grouped(3, 70, 40);
    EXPECT_EQ(linear->bytes() + grouped->bytes(), 0u);
    linear->forward(stream, y, x, w);
    linear->backward_input(stream, x, y, w);
    grouped->forward(stream, y, x, experts, offsets);
    grouped->backward_input(stream, x, y, experts, offsets);
    return std::pair{linear->bytes(), grouped->bytes()};
  };
  for (const Recipe recipe : {Recipe::f32, Recipe::bf16, Recipe::fp8_block}) {
    const auto cpu = bytes(DeviceKind::cpu, recipe);
    EXPECT_EQ(cpu, bytes(DeviceKind::meta, recipe)) << name_of(recipe);
    EXPECT_GE(cpu.first, 2u * 70 * 40 * size_of(Precision(recipe).activation()));
    EXPECT_GE(cpu.second, 3 * cpu.first / 2);
  }
}

TEST(Precision, RefusesShapesAndTypesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const auto gemms = Precision(Recipe::bf16).linear(4, 8);
  const Weight w{arena.take(DType::f32, {4, 8})}, other{arena.take(DType::f32, {4, 7})};
  const auto bf16 = [&](Shape s) { return arena.take(DType::bf16, s); };
  EXPECT_THROW(gemms->forward(stream, bf16({2, 4}), bf16({3, 8}), w), UserError);
  EXPECT_THROW(gemms->forward(stream, bf16({2, 4}), bf16({2, 8}), other), UserError);
  EXPECT_THROW(gemms->forward(stream, bf16({2, 4}), arena.take(DType::f32, {2, 8}), w), UserError);
}

}  // namespace
}  // namespace birkhoff::test

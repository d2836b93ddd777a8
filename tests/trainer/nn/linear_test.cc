#include "trainer/nn/linear.h"

#include <gmock/gmock.h>

#include "tests/trainer/support/module_case.h"

namespace birkhoff::test {
namespace {

OpCase linear_case(int64_t T, int64_t out, int64_t in, Linear::Options options) {
  OpCase c;
  c.activation("x", {T, in}).parameter("map.weight", {out, in}, normal(3, 0.3));
  if (options.bias) c.parameter("map.bias", {out});
  if (options.output_f32) {
    c.output_f32("y", {T, out});
  } else {
    c.output("y", {T, out});
  }
  const auto run = [=](Stream& s, const Tensors& t, Pass pass) {
    Build build = build_for(s, t);
    Linear linear(build, "map", out, in, options);
    run_module(s, t, build, linear, pass);
  };
  c.forward([=](Stream& s, const Tensors& t) { run(s, t, Pass::forward); });
  c.backward([=](Stream& s, const Tensors& t) { run(s, t, Pass::forward_and_backward); });
  return c;
}

const Linear::Options kPlain{}, kBias{true, GemmRole::linear, false}, kRouter{false, GemmRole::exact, true};

TEST(Linear, CpuEqualsReference) {
  linear_case(0, 5, 7, kBias).expect_cpu_equals_reference(7);
  linear_case(1, 1, 1, kPlain).expect_cpu_equals_reference(1);
  // With bf16, the weights are rounded too, so every product has a second rounding.
  linear_case(33, 17, 65, kPlain).expect_cpu_equals_reference(65, 2);
  linear_case(33, 17, 65, kBias).expect_cpu_equals_reference(65, 2);
  linear_case(33, 17, 65, kRouter).expect_cpu_equals_reference(65, 2);
}

TEST(Linear, BackwardMatchesFiniteDifferences) {
  linear_case(6, 5, 7, kBias).expect_gradients({"x", "map.weight", "map.bias"}, {"y"});
  linear_case(6, 5, 7, kRouter).expect_gradients({"x", "map.weight"}, {"y"});
}

struct Declared final : ModuleVisitor {
  void parameter(Parameter& p) override { parameters.push_back(&p); }
  std::vector<Parameter*> parameters;
};

TEST(Linear, DeclaresItsWeightAndItsBias) {
  Build build{Device{}};
  Linear linear(build, "map", 5, 7, kBias);
  Declared declared;
  linear.visit(declared);
  ASSERT_EQ(declared.parameters.size(), 2u);
  EXPECT_EQ(declared.parameters[0]->name, "map.weight");
  EXPECT_EQ(declared.parameters[0]->shape, (Shape{5, 7}));
  EXPECT_EQ(declared.parameters[0]->role, Role::matrix);
  EXPECT_EQ(declared.parameters[1]->name, "map.bias");
  EXPECT_EQ(declared.parameters[1]->role, Role::bias);
}

// The packed copy of a weight is rebuilt when the version of the weight changes.
TEST(Linear, PacksAWeightAnewWhenItsVersionRises) {
  for (const Recipe recipe : {Recipe::f32, Recipe::bf16}) {
    Stream stream{Device{}};
    Arena arena{stream.device};
    Build build{.device = stream.device, .precision = Precision(recipe)};
    Linear linear(build, "map", 1, 1);
    Parameter& w = linear.weight();
    const Tensor x = arena.take(build.precision.activation(), {1, 1});
    w.value = arena.take(DType::f32, {1, 1});
    fill(stream, x, 1);
    Frame frame(stream, build.num_slots);
    for (const double value : {2.0, 3.0}) {
      fill(stream, w.value, value);
      ++w.version;
      EXPECT_EQ(read_scalar(stream, linear.forward(frame, x)), value);
    }
  }
}

}  // namespace
}  // namespace birkhoff::test

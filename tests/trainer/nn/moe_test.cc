#include "trainer/nn/moe.h"

#include <gmock/gmock.h>

#include "tests/trainer/support/module_case.h"

namespace birkhoff::test {
namespace {

constexpr int64_t kChannels = 6, kHidden = 5, kExperts = 4;

MoeOptions options_with(int64_t shared) {
  MoeOptions o;
  o.num_experts = kExperts;
  o.top_k = 2;
  o.expert_size = kHidden;
  o.num_shared = shared;
  o.sequence_balance_loss = 0;
  return o;
}

// The router weights are so large that rounding does not change the choice of experts.
OpCase moe_case(int64_t T, MoeOptions options) {
  OpCase c;
  c.activation("x", {T, kChannels});
  c.parameter("moe.gate.weight", {kExperts, kChannels}, normal(1, 1));
  c.parameter("moe.experts.up", {kExperts, 2 * kHidden, kChannels}, normal(2, 0.4));
  c.parameter("moe.experts.down", {kExperts, kChannels, kHidden}, normal(3, 0.4));
  if (options.num_shared > 0) {
    c.parameter("moe.shared.up.weight", {2 * kHidden * options.num_shared, kChannels}, normal(4, 0.4));
    c.parameter("moe.shared.down.weight", {kChannels, kHidden * options.num_shared}, normal(5, 0.4));
  }
  c.output("y", {T, kChannels});
  const auto run = [=](Stream& s, const Tensors& t, Pass pass) {
    Build build = build_for(s, t);
    Moe moe(build, "moe", kChannels, options, 0);
    run_module(s, t, build, moe, pass);
  };
  c.forward([=](Stream& s, const Tensors& t) { run(s, t, Pass::forward); });
  c.backward([=](Stream& s, const Tensors& t) { run(s, t, Pass::forward_and_backward); });
  return c;
}

TEST(Moe, RunsWithoutTokens) {
  for (const int64_t shared : {0, 1}) {
    const OpCase c = moe_case(0, options_with(shared));
    c.expect_cpu_equals_reference(1);
    for (const char* name : {"d_moe.gate.weight", "d_moe.experts.up", "d_moe.experts.down"}) {
      EXPECT_THAT(c.result(Device{}, DType::bf16, name), testing::Each(0.0)) << name;
    }
  }
}

TEST(Moe, CpuEqualsReferenceWithOneTokenAndSomeExpertsEmpty) {
  moe_case(1, options_with(1)).expect_cpu_equals_reference(kChannels + kHidden, 16);
}

TEST(Moe, BackwardMatchesFiniteDifferences) {
  const std::vector<std::string> all{"x", "moe.gate.weight", "moe.experts.up", "moe.experts.down"};
  moe_case(7, options_with(0)).expect_gradients(all, {"y"});
  auto shared = all;
  shared.insert(shared.end(), {"moe.shared.up.weight", "moe.shared.down.weight"});
  moe_case(7, options_with(1)).expect_gradients(shared, {"y"});
}

struct Loads final : ModuleVisitor {
  void counter(StepCounter& c) override { names.push_back(c.name); }
  void router(PersistentBuffer& b, StepCounter& c) override {
    EXPECT_EQ(b.name, "moe.gate.bias");
    EXPECT_EQ(c.name, "moe.load");
    ++routers;
  }
  std::vector<std::string> names;
  int routers = 0;
};

TEST(Moe, DeclaresItsCountersAndTheBiasOfItsRouter) {
  Build build{Device{}};
  Moe moe(build, "moe", kChannels, options_with(0), 0);
  Loads loads;
  moe.visit(loads);
  EXPECT_THAT(loads.names, testing::ElementsAre("moe.load", "moe.balance_loss"));
  EXPECT_EQ(loads.routers, 1);
}

}  // namespace
}  // namespace birkhoff::test

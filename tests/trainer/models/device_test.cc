// The same model on several devices.
#include <cmath>

#include <gtest/gtest.h>

#include "parallel/comm/threads/thread_world.h"
#include "tests/support/op_case.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/loop/trainer.h"

namespace birkhoff::test {
namespace {

class ModelDevice : public ::testing::TestWithParam<Variant> {
 protected:
  // Relative to the size of each gradient: |actual - expected| / |expected| over all elements of a tensor.
  static void expect_close(TinyModel& actual, TinyModel& expected, double bound) {
    const std::vector<TinyModel::Gradient> a = actual.gradients(), e = expected.gradients();
    for (size_t i = 0; i < e.size(); ++i) {
      double difference = 0, size = 0;
      for (size_t j = 0; j < e[i].values.size(); ++j) {
        difference += std::pow(a[i].values[j] - e[i].values[j], 2);
        size += std::pow(e[i].values[j], 2);
      }
      EXPECT_LE(std::sqrt(difference), bound * std::sqrt(size)) << e[i].name << ' ' << std::sqrt(difference / size);
    }
  }
  static void expect_cpu_equals_reference(ModelOptions options, Recipe recipe, double bound) {
    options.recipe = recipe;
    TinyModel cpu({}, options), reference({DeviceKind::reference}, options);
    const StepBatch batch = tiny_batch(options, {});
    const double actual = cpu.run(batch, TinyModel::Work::gradients);
    const double expected = reference.run(batch, TinyModel::Work::gradients);
    EXPECT_NEAR(actual, expected, bound * expected);
    expect_close(cpu, reference, bound);
  }
};

TEST_P(ModelDevice, CpuInF32EqualsTheReference) {
  expect_cpu_equals_reference(GetParam().options, Recipe::f32, 2e-5);
}

// Rounding may turn the choice between experts of nearly equal score, which moves a gradient by far more than rounding
// does; so here every expert is chosen.
TEST_P(ModelDevice, CpuInBf16IsNearTheReference) {
  ModelOptions options = GetParam().options;
  options.decoder.moe.top_k = options.decoder.moe.num_experts;
  options.decoder.moe.top_groups = options.decoder.moe.num_groups;
  expect_cpu_equals_reference(options, Recipe::bf16, 0.15);
}

struct Counter final : OpObserver {
  void begin(std::string_view) override { ++ops; }
  void end() override {}
  void flops(double count) override { total += count; }
  int64_t ops = 0;
  double total = 0;
};

struct Step {
  size_t bytes = 0;
  Counter counter;
};

void take_step(DeviceKind kind, const ModelOptions& options, Step& step) {
  const auto world = make_thread_world(1);
  const Device device{kind};
  Model model = make_model(device, *world[0], options);
  Stream stream{device};
  model.initialise(stream, 1);
  stream.observer = &step.counter;
  TrainerOptions t;
  t.mtp_weight = 0.3;
  t.bias_update_speed = 0.001f;
  t.dense.kind = DenseOptions::Kind::muon;
  Trainer trainer(stream, *world[0], model, t);
  trainer.step(tiny_batch(options, {}), 1e-3);
  step.bytes = trainer.peak_activation_bytes();
}

TEST_P(ModelDevice, MetaTakesAWholeStepAndCountsTheBytesAndWorkOfCpu) {
  for (Recompute recompute : {Recompute::none, Recompute::block, Recompute::streams}) {
    ModelOptions options = GetParam().options;
    options.decoder.recompute = recompute;
    options.cost_of = [](const Parameter& p) { return update_cost(p, DenseOptions::Kind::muon); };
    if (recompute == Recompute::streams && options.decoder.residual.kind == ResidualKind::plain) continue;
    Step cpu, meta;
    take_step(DeviceKind::cpu, options, cpu);
    take_step(DeviceKind::meta, options, meta);
    EXPECT_GT(cpu.counter.total, 0);
    EXPECT_EQ(meta.bytes, cpu.bytes);
    EXPECT_EQ(meta.counter.total, cpu.counter.total);
    EXPECT_EQ(meta.counter.ops, cpu.counter.ops);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, ModelDevice, ::testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace birkhoff::test

// The same model on several devices.
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "parallel/comm/threads/thread_world.h"
#include "tests/support/op_case.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/loop/trainer.h"

namespace birkhoff::test {
namespace {

class ModelDevice : public ::testing::TestWithParam<Variant> {
 protected:
  // Runs both devices and tells, for each gradient, |cpu - reference| and |reference| over all its elements.
  struct Error {
    std::string name;
    double difference = 0, size = 0;
  };
  static std::vector<Error> errors(ModelOptions options, Recipe recipe, double loss_bound) {
    options.recipe = recipe;
    TinyModel cpu({}, options), reference({DeviceKind::reference}, options);
    const StepBatch batch = tiny_batch(options, {});
    const double loss = cpu.run(batch, TinyModel::Work::gradients);
    const double expected = reference.run(batch, TinyModel::Work::gradients);
    EXPECT_NEAR(loss, expected, loss_bound * expected);
    const std::vector<TinyModel::Gradient> a = cpu.gradients(), e = reference.gradients();
    std::vector<Error> out;
    for (size_t i = 0; i < e.size(); ++i) {
      Error error{e[i].name};
      for (size_t j = 0; j < e[i].values.size(); ++j) {
        error.difference = std::hypot(error.difference, a[i].values[j] - e[i].values[j]);
        error.size = std::hypot(error.size, e[i].values[j]);
      }
      out.push_back(error);
    }
    return out;
  }
};

TEST_P(ModelDevice, CpuInF32EqualsTheReference) {
  for (const Error& e : errors(GetParam().options, Recipe::f32, 1e-6)) {
    // Sums without fused multiply-adds, as in a build for debugging, were seen to err by 2.1e-5.
    EXPECT_LE(e.difference, 4e-5 * e.size) << e.name;
  }
}

// Rounding may turn the choice between experts of nearly equal score, which moves a gradient by far more than rounding
// does; so here every expert is chosen. A gradient that is small by cancellation is as noisy as the parts that cancel:
// the whole gradient has the tight bound.
TEST_P(ModelDevice, CpuInBf16IsNearTheReference) {
  ModelOptions options = GetParam().options;
  options.decoder.moe.top_k = options.decoder.moe.num_experts;
  options.decoder.moe.top_groups = options.decoder.moe.num_groups;
  Error whole;
  for (const Error& e : errors(options, Recipe::bf16, 0.01)) {
    whole.difference = std::hypot(whole.difference, e.difference);
    whole.size = std::hypot(whole.size, e.size);
    EXPECT_LE(e.difference, 0.3 * e.size + 0.01) << e.name << ' ' << e.size;
  }
  EXPECT_LE(whole.difference, 0.2 * whole.size) << whole.difference / whole.size;
}

TEST_P(ModelDevice, GivesTheSameBitsOnAnyNumberOfThreads) {
  const int threads = num_threads();
  for (Recipe recipe : {Recipe::f32, Recipe::bf16}) {
    ModelOptions options = GetParam().options;
    options.recipe = recipe;
    options.decoder.channels = 44;
    if (options.decoder.learned_positions) options.decoder.learned_positions = 128;
    const StepBatch batch = tiny_batch(options, {1, 4, 101, 2, 0, 1});
    TinyModel one({}, options), three({}, options);
    set_num_threads(1);
    const double loss = one.run(batch, TinyModel::Work::gradients);
    set_num_threads(3);
    EXPECT_EQ(three.run(batch, TinyModel::Work::gradients), loss);
    const auto a = one.gradients(), b = three.gradients();
    for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].values == b[i].values) << a[i].name;
  }
  set_num_threads(threads);
}

struct Counter final : OpObserver {
  void begin(std::string_view op) override { ++ops[std::string(op)]; }
  void end() override {}
  void flops(double count) override { total += count; }
  std::map<std::string, int64_t> ops;
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
    for (Step* step : {&cpu, &meta}) {
      // The exchange of table rows needs the row numbers of the other ranks, so a dry run leaves it out.
      for (const char* exchange : {"engram_gather", "engram_gather_backward", "fill_zero"})
        step->counter.ops.erase(exchange);
    }
    EXPECT_EQ(meta.counter.ops, cpu.counter.ops);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, ModelDevice, ::testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace birkhoff::test

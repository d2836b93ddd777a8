// The same model computes the same on several devices.
#include <algorithm>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/philox.h"
#include "parallel/comm/threads/thread_world.h"
#include "tests/support/op_case.h"
#include "tests/trainer/support/tiny_model.h"
#include "trainer/step/trainer.h"

namespace birkhoff::test {
namespace {

using Gradients = std::vector<TinyModel::Gradient>;

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum = std::hypot(sum, a[i] - b[i]);
  return sum;
}

// The distance of each tensor, and at the end that of all tensors together.
std::vector<double> distances(const Gradients& a, const Gradients& b) {
  std::vector<double> out;
  double whole = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    out.push_back(distance(a[i].values, b[i].values));
    whole = std::hypot(whole, out.back());
  }
  out.push_back(whole);
  return out;
}

Gradients gradients_of(TinyModel& model, const StepBatch& batch, double& loss) {
  loss = model.run(batch, TinyModel::Work::gradients);
  return model.gradients();
}

// The exact gradients of a model after a normally distributed relative error, with standard deviation `eps`, is added
// to each weight.
Gradients perturbed(const ModelOptions& options, const StepBatch& batch, double eps, uint64_t seed) {
  TinyModel model({DeviceKind::reference}, options);
  for (const ParameterStore::Entry& e : model.model.parameters->entries()) {
    const Philox random(seed, key_of(e.parameter->name));
    std::vector<double> values = values_of(e.parameter->value);
    for (size_t i = 0; i < values.size(); ++i) values[i] *= 1 + eps * random.normal(i);
    set_values(e.parameter->value, values);
  }
  model.model.parameters->values_changed();
  double loss = 0;
  return gradients_of(model, batch, loss);
}

double median(std::vector<double> v) {
  const auto middle = v.begin() + static_cast<int64_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}
// The median of each column.
std::vector<double> medians(const std::vector<std::vector<double>>& rows) {
  std::vector<double> out;
  for (size_t i = 0; i < rows[0].size(); ++i) {
    std::vector<double> column;
    for (const auto& row : rows) column.push_back(row[i]);
    out.push_back(median(column));
  }
  return out;
}

// How far relative errors of size `eps` in the weights move each gradient.
std::vector<double> conditions(const ModelOptions& options, const StepBatch& batch, double eps,
                               const Gradients& exact) {
  std::vector<std::vector<double>> moved;
  for (uint64_t draw = 0; draw < 5; ++draw) {
    moved.push_back(distances(perturbed(options, batch, eps, 100 + draw), exact));
  }
  return medians(moved);
}

class ModelDevice : public ::testing::TestWithParam<Variant> {
 protected:
  // Rounding to `eps` may change a gradient as much as relative errors of that size in the weights do. This can be
  // fifty times eps where attention is steep (the variant single_pass), and more where Engram's gate takes the square
  // root of a small score. So the bound is a multiple of the effect of such errors, measured in f64. Some sums cancel
  // exactly for all weights. For example, the gradient of a norm's input is orthogonal to this input, which the streams
  // contain. Errors in the weights do not show the rounding of such sums, so an eps of the whole gradient is allowed in
  // addition.
  //
  // In a single batch the error may be ten times as large where a gradient is not smooth, at the corner of a clamp or
  // at a small score. A defect shows in every batch. So the median of several batches is judged, for each tensor and
  // for all together.
  static void expect_near_reference(ModelOptions options, Recipe recipe, double eps) {
    options.recipe = recipe;
    std::vector<std::string> names;
    std::vector<std::vector<double>> shares;  // by batch: error divided by the allowed error
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      TinyModel cpu({}, options), reference({DeviceKind::reference}, options);
      const StepBatch batch = tiny_batch(options, {.seed = seed});
      double loss = 0, exact_loss = 0;
      const Gradients actual = gradients_of(cpu, batch, loss), exact = gradients_of(reference, batch, exact_loss);
      EXPECT_NEAR(loss, exact_loss, 4 * eps * exact_loss);
      const std::vector<double> errors = distances(actual, exact), moved = conditions(options, batch, eps, exact);
      names.clear();
      double size = 0;
      for (const TinyModel::Gradient& g : exact) {
        names.push_back(g.name);
        size = std::hypot(size, distance(g.values, std::vector<double>(g.values.size(), 0)));
      }
      EXPECT_GT(size, 1000 * eps) << "the case tests nothing";
      shares.emplace_back();
      for (size_t i = 0; i < names.size(); ++i) shares.back().push_back(errors[i] / (4 * moved[i] + eps * size));
      shares.back().push_back(errors.back() / (2 * moved.back()));
    }
    names.push_back("all");
    const std::vector<double> typical = medians(shares);
    for (size_t i = 0; i < names.size(); ++i) EXPECT_LE(typical[i], 1) << names[i];
  }
};

TEST_P(ModelDevice, CpuInF32IsAsNearToTheReferenceAsItsRoundingAllows) {
  expect_near_reference(GetParam().options, Recipe::f32, 0x1p-24);
}

// Rounding may change the choice between experts with nearly equal scores, which moves a gradient far more than
// rounding itself. So every expert is chosen here.
TEST_P(ModelDevice, CpuInBf16IsAsNearToTheReferenceAsItsRoundingAllows) {
  ModelOptions options = GetParam().options;
  options.decoder.moe.top_k = options.decoder.moe.num_experts;
  options.decoder.moe.top_groups = options.decoder.moe.num_groups;
  expect_near_reference(options, Recipe::bf16, 0x1p-9);
}

TEST_P(ModelDevice, GivesTheSameBitsOnAnyNumberOfThreads) {
  const int threads = num_threads();
  for (Recipe recipe : {Recipe::f32, Recipe::bf16}) {
    ModelOptions options = GetParam().options;
    options.recipe = recipe;
    options.decoder.hidden_size = 44;
    options.decoder.max_positions = 128;
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

struct Optimizers {
  OptimizerType dense;
  TableUpdate table;
};

void take_step(DeviceKind kind, const ModelOptions& options, Optimizers optimizers, Step& step) {
  const auto world = make_thread_world(1);
  const Device device{kind};
  const Mesh mesh(*world[0], {});
  Model model = make_model(device, mesh, options);
  Stream stream{device};
  model.initialize(stream, 1);
  stream.observer = &step.counter;
  TrainerOptions t;
  t.optimizer.type = optimizers.dense;
  t.optimizer.engram.update = optimizers.table;
  Trainer trainer(stream, mesh, model, t);
  trainer.step(tiny_batch(options, {}), 1e-3);
  step.bytes = trainer.peak_activation_bytes();
}

void expect_meta_equals_cpu(ModelOptions options, Optimizers optimizers) {
  options.cost_of = [optimizers](const Parameter& p) { return update_cost(p, optimizers.dense); };
  Step cpu, meta;
  take_step(DeviceKind::cpu, options, optimizers, cpu);
  take_step(DeviceKind::meta, options, optimizers, meta);
  EXPECT_GT(cpu.counter.total, 0);
  EXPECT_EQ(meta.bytes, cpu.bytes);
  EXPECT_EQ(meta.counter.total, cpu.counter.total);
  for (Step* step : {&cpu, &meta}) {
    // A dry run on the meta device skips the exchange of table rows, which needs the row numbers of the other ranks.
    for (const char* exchange : {"engram_gather", "engram_gather_backward", "fill_zero"})
      step->counter.ops.erase(exchange);
  }
  EXPECT_EQ(meta.counter.ops, cpu.counter.ops);
}

TEST_P(ModelDevice, MetaTakesAWholeStepAndCountsTheBytesAndWorkOfCpu) {
  for (Recompute recompute : {Recompute::none, Recompute::block, Recompute::streams}) {
    ModelOptions options = GetParam().options;
    options.decoder.recompute = recompute;
    if (recompute == Recompute::streams && options.decoder.residual.type == ResidualType::plain) continue;
    expect_meta_equals_cpu(options, {OptimizerType::muon, TableUpdate::balanced});
    expect_meta_equals_cpu(options, {OptimizerType::adamw, TableUpdate::sparse_adamw});
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, ModelDevice, ::testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace birkhoff::test

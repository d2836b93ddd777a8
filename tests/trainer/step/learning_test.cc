// Whole models: their initial loss, that hyper-connections reduce to a plain residual, and that they learn.
#include <algorithm>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/random.h"
#include "tests/support/op_case.h"
#include "tests/trainer/support/learner.h"

namespace birkhoff::test {
namespace {

class Start : public ::testing::TestWithParam<Variant> {};

TEST_P(Start, PredictsAllTokensWithEqualProbability) {
  ModelOptions options = GetParam().options;
  options.decoder.z_loss = 0;
  TinyModel tiny({}, options);
  tiny.model.initialize(tiny.stream, 1);
  tiny.run(tiny_batch(options, {}), TinyModel::Work::loss);
  const double loss = read_values(tiny.stream, tiny.model.decoder->loss_counter().value)[0];
  EXPECT_NEAR(loss, std::log(19.0), 0.02);
}

INSTANTIATE_TEST_SUITE_P(Variants, Start, ::testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

// Without their dynamic part, hyper-connections treat all streams alike at the start. A sublayer reads a multiple of
// the residual, and its norm cancels the factor; it writes to every stream. So the model equals one with a plain
// residual.
class StaticConnection : public ::testing::TestWithParam<ResidualType> {
 protected:
  static void make_static(TinyModel& tiny) {
    for (const auto& e : tiny.model.parameters->entries()) {
      Parameter& p = *e.parameter;
      if (p.name.ends_with(".fn")) fill_zero(tiny.stream, p.value);
      if (!p.name.ends_with(".base")) continue;
      std::vector<double> start(static_cast<size_t>(p.value.count()), 0.0);
      for (size_t i = 0; p.init.at && i < start.size(); ++i) start[i] = p.init.at(static_cast<int64_t>(i));
      from_doubles(tiny.stream, p.value, start.data());
    }
    tiny.model.parameters->values_changed();
  }
};

TEST_P(StaticConnection, IsThePlainPreNormNetwork) {
  const ModelOptions plain_options = variants()[1].options;
  ModelOptions options = plain_options;
  options.decoder.residual.type = GetParam();
  options.decoder.residual.streams = 4;
  TinyModel plain({DeviceKind::reference}, plain_options), streams({DeviceKind::reference}, options);
  make_static(streams);
  const StepBatch batch = tiny_batch(options, {});
  const double expected = plain.run(batch, TinyModel::Work::gradients);
  EXPECT_NEAR(streams.run(batch, TinyModel::Work::gradients), expected, 2e-5 * expected);
  std::map<std::string, std::vector<double>> gradients;
  for (auto& g : streams.gradients()) gradients[g.name] = g.values;
  for (const auto& g : plain.gradients()) EXPECT_LE(scaled_error(gradients.at(g.name), g.values), 1e-4) << g.name;
}

INSTANTIATE_TEST_SUITE_P(Kinds, StaticConnection,
                         ::testing::Values(ResidualType::hc, ResidualType::mhc, ResidualType::mhc_single_pass),
                         [](const auto& info) { return std::string(name_of(info.param)); });

class Learning : public ::testing::TestWithParam<Recipe> {};

TEST_P(Learning, OverfitsOneBatch) {
  ModelOptions options = full_options();
  options.recipe = GetParam();
  Learner learner(options, Learner::Start::initial);
  const StepBatch batch = tiny_batch(options, {1, 2, 11, 2, 0, 1});
  double loss = 0;
  int step = 0;
  do loss = learner.trainer.step(batch, 0.01).loss;
  while (loss > 0.1 && ++step < 400);
  EXPECT_LT(loss, 0.1);
  const Trainer::Evaluation evaluation = learner.trainer.evaluate(batch);
  EXPECT_LT(evaluation.nats / evaluation.tokens, 0.15);
}

INSTANTIATE_TEST_SUITE_P(Recipes, Learning, ::testing::Values(Recipe::f32, Recipe::bf16, Recipe::fp8_block),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST(Trainer, EvaluationGivesTheLossOfTheStepAndLeavesNoTrace) {
  const ModelOptions options = full_options();
  Learner evaluated(options, Learner::Start::initial), other(options, Learner::Start::initial);
  const StepBatch batch = tiny_batch(options, {}), next = tiny_batch(options, {2, 6, 11, 2, 0, 1});
  const Trainer::Evaluation e = evaluated.trainer.evaluate(batch);
  const double loss = evaluated.trainer.step(batch, 0.01).loss;
  EXPECT_NEAR(e.nats / e.tokens, loss, 1e-6 * loss);
  other.trainer.step(batch, 0.01);
  evaluated.trainer.evaluate(next);
  EXPECT_EQ(evaluated.trainer.step(next, 0.01).loss, other.trainer.step(next, 0.01).loss);
}

TEST(Trainer, RefusesAStepWithoutMicrobatches) {
  Learner learner(full_options());
  const std::vector<std::vector<double>> before = learner.values();
  EXPECT_THROW(learner.trainer.step(StepBatch{}, 0.01), BugError);
  EXPECT_EQ(learner.values(), before);
}

TEST(Trainer, TakesSequencesOfAnotherLengthAtAnyStep) {
  ModelOptions options = variants()[4].options;
  std::vector<double> losses[3];
  for (Recompute recompute : {Recompute::none, Recompute::block, Recompute::streams}) {
    options.decoder.recompute = recompute;
    Learner learner(options, Learner::Start::initial);
    for (int64_t length : {7, 13, 5, 13}) {
      const StepBatch batch = tiny_batch(options, {1, 3, length, 2, 0, 1});
      losses[static_cast<size_t>(recompute)].push_back(learner.trainer.step(batch, 0.01).loss);
    }
  }
  EXPECT_EQ(losses[0], losses[1]);
  EXPECT_EQ(losses[0], losses[2]);
}

TEST(Trainer, ReportsTheGainOfMixing) {
  ModelOptions options = full_options();
  std::pair<double, double> kept;
  for (Recompute recompute : {Recompute::none, Recompute::streams, Recompute::block}) {
    options.decoder.recompute = recompute;
    Learner learner(options, Learner::Start::initial);
    EXPECT_FALSE(learner.trainer.step(tiny_batch(options, {}), 0.01).gain.has_value()) << "nobody asked for it";
    learner.trainer.measure_gain(true);
    const auto gain = learner.trainer.step(tiny_batch(options, {}), 0.01).gain;
    ASSERT_TRUE(gain.has_value());
    EXPECT_NEAR(gain->first, 1, 1e-3) << "mixing matrices are doubly stochastic";
    EXPECT_NEAR(gain->second, 1, 1e-3);
    if (recompute == Recompute::none) kept = *gain;
    EXPECT_EQ(*gain, kept) << "recomputation changes nothing";
  }
}

// Unconstrained mixing amplifies every token differently, so each microbatch has a different gain.
TEST(Trainer, ReportsTheLargestGainOfAllMicrobatches) {
  const ModelOptions options = variants()[3].options;
  auto gain_of = [&](const StepBatch& batch) {
    Learner learner(options);
    learner.trainer.measure_gain(true);
    return learner.trainer.step(batch, 0.01).gain.value().first;
  };
  StepBatch whole = tiny_batch(options, {1, 6, 11, 2, 0, 1});
  std::vector<double> gains;
  for (const Batch& microbatch : whole.microbatches) {
    StepBatch one = whole;
    one.microbatches = {microbatch};
    gains.push_back(gain_of(one));
  }
  const auto largest = std::max_element(gains.begin(), gains.end());
  std::swap(whole.microbatches[0], whole.microbatches[static_cast<size_t>(largest - gains.begin())]);
  EXPECT_EQ(gain_of(whole), *largest) << "the first microbatch has it";
  EXPECT_LT(*std::min_element(gains.begin(), gains.end()), *largest);
}

}  // namespace
}  // namespace birkhoff::test

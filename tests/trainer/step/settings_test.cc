// Each setting has the effect that its documentation describes.
#include <cmath>

#include <gmock/gmock.h>

#include "tests/trainer/step/built.h"
#include "trainer/config/reader.h"

namespace birkhoff {
namespace {

using testing::ElementsAre;

constexpr const char* kYaml = R"(
run: {steps: 100}
model: {vocab_size: 19, hidden_size: 16, num_layers: 2, attention: {num_heads: 2}, ffn: {size: 12},
        moe: {num_experts: 4, expert_size: 8, first_dense_layers: 1},
        engram: {layers: [1], num_heads: 2, head_dim: 4, rows_per_head: 7, orders: [2, 3]}}
precision: {recipe: f32}
optimizer: {learning_rate: 0.01, weight_decay: 0, schedule: constant}
batch: {sequence_length: 8, global_batch_size: 2, micro_batch_size: 2}
)";

Config config(const std::vector<std::string>& changes = {}) { return parse_config(kYaml, "x.yaml", changes).config; }

// With eps much larger than the gradient, AdamW's first update is nearly the clipped gradient times the learning rate.
TEST(Settings, ClipNormBoundsTheUpdate) {
  const std::vector<std::string> base{"optimizer.eps=1", "optimizer.learning_rate=1",
                                      "optimizer.engram.update=balanced"};
  for (const double clip : {1e-3, 2e-3}) {
    std::vector<std::string> changes = base;
    changes.push_back("optimizer.clip_norm=" + std::to_string(clip));
    const Built::Change change = Built(config(changes)).step();
    ASSERT_GT(change.report.grad_norm, 10 * clip) << "nothing to clip";
    EXPECT_NEAR(change.weights, clip, 0.01 * clip);
  }
  std::vector<std::string> changes = base;
  changes.push_back("optimizer.clip_norm=0");
  const Built::Change change = Built(config(changes)).step();
  EXPECT_GT(change.weights, 0.2 * change.report.grad_norm) << "0 does not clip";
}

TEST(Settings, TheRateOfTablesIsTheirMultiplierTimesThatOfTheRun) {
  for (const char* update : {"balanced", "sparse_adamw"}) {
    const std::string kind = std::string("optimizer.engram.update=") + update;
    const Built::Change once = Built(config({kind, "optimizer.engram.learning_rate_multiplier=1"})).step(),
                        thrice = Built(config({kind, "optimizer.engram.learning_rate_multiplier=3"})).step(),
                        never = Built(config({kind, "optimizer.engram.learning_rate_multiplier=0"})).step();
    EXPECT_GT(once.table, 0);
    EXPECT_NEAR(thrice.table, 3 * once.table, 1e-3 * thrice.table) << update;
    EXPECT_EQ(never.table, 0) << update;
    EXPECT_EQ(thrice.weights, once.weights) << "other parameters have nothing to do with it";
  }
}

TEST(Settings, TheSpeedMovesTheBiasOfARouter) {
  const double slow = Built(config({"model.moe.bias_update_speed=0.001"})).step().bias,
               fast = Built(config({"model.moe.bias_update_speed=0.004"})).step().bias;
  EXPECT_GT(slow, 0);
  EXPECT_NEAR(fast, 4 * slow, 1e-6);
  EXPECT_EQ(Built(config({"model.moe.bias_update_speed=0"})).step().bias, 0);
}

TEST(Settings, GiveTheOptimizersTheirNumbers) {
  const Config c = config({"optimizer.type=muon", "optimizer.beta1=0.5", "optimizer.beta2=0.625", "optimizer.eps=0.125",
                           "optimizer.weight_decay=0.25", "optimizer.muon.momentum=0.75",
                           "optimizer.muon.rms_scale=0.3", "optimizer.engram.beta=0.8", "optimizer.engram.gamma=0.4",
                           "optimizer.engram.tau=0.01", "optimizer.engram.iterations=5", "optimizer.engram.eps=0.5",
                           "precision.moments=bf16", "precision.recipe=bf16", "model.mtp.weight=0.7",
                           "optimizer.spike.z_score=6", "optimizer.spike.window=9", "optimizer.spike.skip=false"});
  const EngramHash hash(engram_hash_spec(c, 19, 0));
  const TrainerOptions o = trainer_options(c, &hash);
  EXPECT_EQ(o.optimizer, c.optimizer);
  EXPECT_EQ(o.precision.moments, DType::bf16);
  EXPECT_EQ(o.precision.muon_compute, DType::bf16);
  const AdamWHyper h = adamw_hyper(o.optimizer.adamw, {0.5, 2, 3}, 0.25, true);
  EXPECT_EQ(h.learning_rate, 0.25);
  EXPECT_EQ(h.beta1, 0.5);
  EXPECT_EQ(h.beta2, 0.625);
  EXPECT_EQ(h.eps, 0.125);
  EXPECT_EQ(h.weight_decay, 0.25);
  EXPECT_EQ(h.grad_scale, 2);
  EXPECT_EQ(h.step, 3);
  EXPECT_EQ(adamw_hyper(o.optimizer.adamw, {}, 0.25, false).weight_decay, 0);
  EXPECT_EQ(model_options(c, 19, &hash).decoder.mtp.weight, 0.7);
}

TEST(Settings, TheBalancedUpdateRunsTheGivenNumberOfNormalizations) {
  const auto table = [](const char* iterations) {
    return Built(config({"optimizer.engram.update=balanced", iterations})).step().table;
  };
  EXPECT_NE(table("optimizer.engram.iterations=1"), table("optimizer.engram.iterations=5"));
}

std::vector<std::vector<double>> after_a_step(const std::vector<std::string>& changes) {
  Built built(config(changes));
  built.step();
  return built.values();
}

TEST(Settings, TheClampHoldsExpertsToo) {
  const char* experts = "model.moe.first_dense_layers=0";
  EXPECT_NE(after_a_step({experts, "model.ffn.clamp=1e-3"}), after_a_step({experts, "model.ffn.clamp=0"}));
}

TEST(Settings, TheGateOfTheMemoryTakesTheEpsOfTheNormsUnlessItHasItsOwn) {
  const std::vector<std::string> base{"run.device=reference", "model.norm_eps=1e-3"};
  const auto with = [&](const char* eps) { return after_a_step({base[0], base[1], eps}); };
  EXPECT_EQ(with("model.engram.gate.eps=0"), with("model.engram.gate.eps=1e-3"));
  EXPECT_NE(with("model.engram.gate.eps=0"), with("model.engram.gate.eps=1e-6"));
}

// Each word of the settings that choose an enumerator of another library layer.
TEST(Settings, WordsNameTheirEnumerators) {
  EXPECT_EQ(config({"model.moe.score_function=sigmoid"}).model.moe.score_function, RouterScore::sigmoid);
  EXPECT_EQ(config({"model.moe.score_function=sqrt_softplus"}).model.moe.score_function, RouterScore::sqrt_softplus);
  EXPECT_EQ(config({"model.moe.score_function=softmax"}).model.moe.score_function, RouterScore::softmax);
  EXPECT_EQ(config({"model.rope.type=half"}).model.rope.layout, RopeLayout::half);
  EXPECT_EQ(config({"model.rope.type=interleaved"}).model.rope.layout, RopeLayout::interleaved);
  EXPECT_EQ(config({"precision.fp8_scale=ue8m0"}).precision.fp8_scale, ScaleFormat::ue8m0);
  EXPECT_EQ(config({"precision.recipe=fp8_block"}).precision.recipe, Recipe::fp8_block);
  EXPECT_EQ(config({"precision.moments=bf16"}).precision.moments, DType::bf16);
  EXPECT_EQ(config({"run.device=reference"}).run.device, DeviceKind::reference);
  EXPECT_EQ(config({"data.bad_samples=skip"}).data.bad_samples, BadData::skip);
  EXPECT_EQ(config({"data.mixture_change=restart"}).data.mixture_change, MixtureChange::restart);
}

LearningRate rate_of(const Config& c) { return {c.optimizer.schedule, c.run.steps}; }

TEST(Settings, ScheduleTheRate) {
  const Config c = config({"optimizer.schedule=linear", "optimizer.warmup_steps=10", "optimizer.constant_steps=20",
                           "optimizer.learning_rate=0.5", "optimizer.min_learning_rate=0.1"});
  const LearningRate r = rate_of(c);
  EXPECT_DOUBLE_EQ(r.at(4), 0.25);
  EXPECT_EQ(r.at(9), 0.5);
  EXPECT_EQ(r.at(29), 0.5);
  EXPECT_DOUBLE_EQ(r.at(64), 0.3) << "half of the 70 steps that are left of 100";
  EXPECT_EQ(r.at(100), 0.1);
  EXPECT_DOUBLE_EQ(rate_of(config({"optimizer.schedule=linear", "optimizer.decay_steps=10"})).at(4), 0.005);
  EXPECT_DOUBLE_EQ(rate_of(config({"optimizer.schedule=cosine"})).at(49), 0.005) << "half of the steps";
  EXPECT_EQ(rate_of(config()).at(99), 0.01) << "constant";
}

TEST(Settings, ScheduleBatchAndLength) {
  const Config c = config({"batch.global_batch_size=8", "batch.ramp.initial_size=4", "batch.ramp.increment=2",
                           "batch.ramp.steps=6", "batch.length_schedule=[{until_step: 3, sequence_length: 5}]"});
  std::vector<int64_t> sizes, lengths;
  for (int64_t step : {0, 2, 3, 5, 6, 50}) {
    const StepShape shape = step_shape(c, step);
    sizes.push_back(shape.global_sequences);
    lengths.push_back(shape.sequence_length);
    EXPECT_EQ(shape.microbatch_sequences, 2);
  }
  EXPECT_THAT(sizes, ElementsAre(4, 4, 6, 6, 8, 8));
  EXPECT_THAT(lengths, ElementsAre(5, 5, 8, 8, 8, 8));
}

TEST(Settings, GranularityHeadMakesAMatrixOfEveryOrderAndHead) {
  const EngramHash hash(engram_hash_spec(config(), 19, 0));
  const auto begins = [&](const char* granularity) {
    const Config c = config({std::string("optimizer.engram.granularity=") + granularity});
    return trainer_options(c, &hash).table_matrix_begins;
  };
  EXPECT_THAT(begins("table"), ElementsAre(ElementsAre(0)));
  EXPECT_THAT(begins("head"), ElementsAre(hash.table(0).offsets));
  EXPECT_EQ(hash.table(0).offsets.size(), 4u) << "two orders of two heads";
  EXPECT_NE(Built(config({"optimizer.engram.granularity=head"})).step().table, Built(config()).step().table);
}

}  // namespace
}  // namespace birkhoff

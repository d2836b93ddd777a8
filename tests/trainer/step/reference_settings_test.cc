// The reference device computes in f64 with the exact values of settings. So a step with a value that f32 cannot
// represent differs from a step with that value rounded to f32.
#include <map>

#include <gmock/gmock.h>

#include "tests/trainer/step/built.h"
#include "trainer/config/reader.h"

namespace birkhoff {
namespace {

constexpr const char* kYaml = R"(
run: {steps: 100, device: reference}
model: {vocab_size: 19, hidden_size: 16, num_layers: 2, attention: {num_heads: 2, qk_norm: true}, ffn: {size: 12},
        moe: {num_experts: 4, expert_size: 8, first_dense_layers: 1},
        rope: {yarn: {factor: 3, original_length: 4, mscale: 0.7}},
        residual: {type: mhc, streams: 2}, mtp: {depth: 1},
        engram: {layers: [1], num_heads: 2, head_dim: 4, rows_per_head: 7, orders: [2, 3], conv: true}}
precision: {recipe: f32}
optimizer: {learning_rate: 0.01, schedule: constant}
batch: {sequence_length: 8, global_batch_size: 2, micro_batch_size: 2}
)";

struct Case {
  double value;  // not representable in f32
  std::vector<std::string> needs{};
};

// All settings that are real numbers and enter the computation of a step.
const std::map<std::string, Case> kCases{
    {"model.norm_eps", {1e-3}},
    {"model.z_loss", {0.1}},
    {"model.rope.theta", {1000.1}},
    {"model.rope.yarn.factor", {3.1}},
    {"model.rope.yarn.mscale", {0.7}},
    {"model.rope.yarn.mscale_all_dim", {0.3}},
    {"model.ffn.clamp", {1e-3}},
    {"model.moe.route_scale", {1.1}},
    {"model.moe.bias_update_speed", {0.001}},
    {"model.moe.sequence_balance_loss", {0.1}},
    {"model.mtp.weight", {0.3}},
    {"model.residual.eps", {1e-3}},
    {"model.residual.post_factor", {2.1}},
    {"model.engram.gate.clamp", {0.1}},
    {"model.engram.gate.eps", {1e-3}},
    {"model.engram.conv_eps", {1e-3}},
    {"optimizer.learning_rate", {0.01}},
    {"optimizer.beta1", {0.9}},
    {"optimizer.beta2", {0.95}},
    {"optimizer.eps", {1e-3}},
    {"optimizer.weight_decay", {0.1}},
    {"optimizer.clip_norm", {1e-3}},
    {"optimizer.muon.momentum", {0.9, {"optimizer.type=muon"}}},
    {"optimizer.muon.rms_scale", {0.18, {"optimizer.type=muon"}}},
    {"optimizer.engram.learning_rate_multiplier", {5.1}},
    {"optimizer.engram.beta", {0.95}},
    {"optimizer.engram.gamma", {0.18}},
    {"optimizer.engram.eps", {1e-3}},
};

// All other settings that are real numbers, each with the reason why it does not belong above.
const std::map<std::string, const char*> kOthers{
    {"model.init_std", "initial values"},
    {"model.embedding_init_std", "initial values"},
    {"model.output_init_scale", "initial values"},
    {"model.residual.alpha_init", "initial values"},
    {"model.residual.phi_std", "initial values"},
    {"model.residual.mix_diagonal_init", "initial values"},
    {"model.engram.init_std", "initial values"},
    {"model.rope.yarn.beta_fast", "a threshold: it selects dims, and YaRN rounds it to one"},
    {"model.rope.yarn.beta_slow", "the same"},
    {"optimizer.min_learning_rate", "the rate at the end of a run; learning_rate stands for both"},
    {"optimizer.engram.tau", "a threshold: it selects rows"},
    {"optimizer.spike.z_score", "a threshold: it selects steps"},
};

std::vector<std::vector<double>> after_a_step(const std::string& path, double value, const Case& c) {
  std::vector<std::string> changes = c.needs;
  std::ostringstream digits;
  digits.precision(17);
  digits << path << '=' << value;
  changes.push_back(digits.str());
  Built built(parse_config(kYaml, "x.yaml", changes).config);
  const Built::Change change = built.step();
  auto values = built.values();
  values.push_back({change.report.loss});
  return values;
}

TEST(ReferenceSettings, ReachTheComputationWithAllTheirDigits) {
  for (const auto& [path, c] : kCases) {
    const double rounded = static_cast<float>(c.value);
    ASSERT_NE(c.value, rounded) << path;
    const auto exact = after_a_step(path, c.value, c);
    EXPECT_TRUE(exact == after_a_step(path, c.value, c)) << path << ": two equal steps";
    EXPECT_FALSE(exact == after_a_step(path, rounded, c))
        << path << " is rounded to f32 on its way, or has no effect here";
  }
}

TEST(ReferenceSettings, AreAllOfTheModelAndTheOptimizer) {
  Config config;
  SettingList list;
  config.visit(list);
  size_t reals = 0;
  for (const Setting& setting : list.settings()) {
    const bool enters = setting.path.starts_with("model.") || setting.path.starts_with("optimizer.");
    if (!enters || !std::holds_alternative<double*>(setting.value)) continue;
    ++reals;
    EXPECT_EQ(kCases.contains(setting.path) + kOthers.contains(setting.path), 1) << setting.path;
  }
  EXPECT_EQ(reals, kCases.size() + kOthers.size()) << "a path that is no setting";
}

}  // namespace
}  // namespace birkhoff

// Settings that are said to have no effect have none.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/trainer/step/built.h"
#include "trainer/config/reader.h"

namespace birkhoff {
namespace {

const char* const kYaml = R"(
model: {vocab_size: 19, hidden_size: 16, num_layers: 2, attention: {num_heads: 2}, ffn: {size: 12},
        moe: {num_experts: 4, expert_size: 8, first_dense_layers: 1}, residual: {type: mhc, streams: 2},
        engram: {layers: [1], num_heads: 2, head_dim: 4, rows_per_head: 7, orders: [2, 3]}}
precision: {recipe: f32}
optimizer: {learning_rate: 0.01, schedule: constant}
batch: {sequence_length: 8, global_batch_size: 2, micro_batch_size: 2}
)";

// Takes another value that the setting may have.
void change(const Setting& setting) {
  if (auto* const* flag = std::get_if<bool*>(&setting.value)) **flag = !**flag;
  if (auto* const* number = std::get_if<int64_t*>(&setting.value)) ++**number;
  if (auto* const* real = std::get_if<double*>(&setting.value)) **real = **real == 0 ? 0.25 : **real / 2;
  if (auto* const* list = std::get_if<std::vector<int64_t>*>(&setting.value)) (*list)->push_back(8);
  if (const auto* choice = std::get_if<Choice>(&setting.value)) choice->set((choice->get() + 1) % choice->names.size());
}

std::vector<std::vector<double>> after_a_step(const Config& config) {
  Built built(config);
  const double loss = built.step().report.loss;
  auto values = built.values();
  values.push_back({loss});
  return values;
}

struct Case {
  const char* name;
  std::vector<std::string> changes;
  std::vector<std::string> unused;  // some of those that it must mark
};

class UnusedSettings : public ::testing::TestWithParam<Case> {};

TEST_P(UnusedSettings, ChangeNothing) {
  Config config = parse_config(kYaml, "x.yaml", GetParam().changes).config;
  const auto before = after_a_step(config);
  std::vector<std::string> marked;
  const SettingList list = settings_of(config);
  for (size_t i = 0; i < list.settings().size(); ++i) {
    const std::string& path = list.settings()[i].path;
    const bool of_model =
        path.starts_with("model.") || path.starts_with("optimizer.") || path.starts_with("precision.");
    if (list.settings()[i].unused.empty() || !of_model) continue;
    marked.push_back(path);
    Config other = config;
    const SettingList of_other = settings_of(other);
    change(of_other.settings()[i]);
    ASSERT_NE(other, config) << path;
    EXPECT_TRUE(after_a_step(other) == before) << path << " has an effect";
  }
  for (const std::string& path : GetParam().unused) {
    EXPECT_TRUE(std::find(marked.begin(), marked.end(), path) != marked.end()) << path << " is not marked";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Configs, UnusedSettings,
    ::testing::Values(
        Case{"Dense",
             {"model.moe.num_experts=0", "model.residual.type=plain"},
             {"model.moe.top_k", "model.residual.streams", "model.residual.eps", "model.mtp.weight"}},
        Case{"WithoutMemory", {"model.engram.layers=[]"}, {"model.engram.gate.root", "optimizer.engram.tau"}},
        Case{"Latent",
             {"model.attention.type=mla", "model.attention.kv_lora_rank=8", "model.attention.qk_nope_head_dim=4",
              "model.attention.qk_rope_head_dim=4", "model.attention.v_head_dim=4"},
             {"model.attention.num_kv_heads", "model.attention.head_dim", "model.attention.bias", "model.rope.dims"}},
        Case{"Learned", {"model.position=learned"}, {"model.rope.theta", "model.rope.yarn.factor"}},
        Case{"Rotary", {}, {"model.max_positions", "model.rope.yarn.mscale", "model.attention.v_head_dim"}},
        Case{"OnlyExperts", {"model.moe.first_dense_layers=0"}, {"model.ffn.size", "model.ffn.bias"}},
        Case{"NoExperts",
             {"model.moe.first_dense_layers=2"},
             {"model.moe.num_experts", "model.moe.expert_size", "model.moe.top_k"}},
        Case{"Unconstrained", {"model.residual.type=hc"}, {"model.residual.phi_std"}},
        Case{"Rows", {"optimizer.engram.update=sparse_adamw"}, {"optimizer.engram.beta", "optimizer.muon.momentum"}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace birkhoff

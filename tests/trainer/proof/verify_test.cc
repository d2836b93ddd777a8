#include "trainer/proof/verify.h"

#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/temp_dir.h"
#include "trainer/config/reader.h"
#include "trainer/proof/proof_config.h"

namespace birkhoff::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

std::string source(const std::string& name) {
  const char* folder = std::getenv("BIRKHOFF_SOURCE_DIR");
  return std::string(folder ? folder : ".") + "/" + name;
}

// configs/test.yaml has every part: MLA, experts, mHC, Engram, MTP.
ProofConfig all_parts(std::vector<std::string> overrides, const std::vector<ProofLayout>& layouts) {
  overrides.insert(overrides.begin(), {"model.vocab_size=61", "batch.sequence_length=19"});
  return proof_config(load_config(source("configs/test.yaml"), overrides).config, layouts);
}

struct Case {
  const char* name;
  std::vector<std::string> overrides;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// The layouts of the available axes that the config allows.
std::vector<ProofLayout> allowed_layouts(const std::vector<std::string>& overrides) {
#ifdef BIRKHOFF_SANITIZED
  const std::vector<MeshDegrees> degrees = {{.dp = 3}, {.tp = 2, .etp = 2, .ep = 2, .dp = 2}};
#else
  const std::vector<MeshDegrees> degrees = {{.dp = 3},
                                            {.tp = 2},
                                            {.tp = 2, .ep = 2, .dp = 2},
                                            {.tp = 2, .etp = 2, .dp = 2},
                                            {.etp = 2, .ep = 2, .dp = 4},
                                            {.ep = 4, .dp = 4, .dispatch = Dispatch::grouped}};
#endif
  const Config config = all_parts(overrides, {}).config;
  std::vector<ProofLayout> layouts;
  for (const MeshDegrees& d : degrees) {
    if (problems_of_layout(config, d, std::nullopt).empty()) layouts.push_back(proof_layout(d, 8));
  }
  return layouts;
}

class Layouts : public testing::TestWithParam<Case> {};

TEST_P(Layouts, ComputeWhatOneRankComputes) {
  const std::vector<ProofLayout> layouts = allowed_layouts(GetParam().overrides);
  ASSERT_FALSE(layouts.empty());
  const TempDir scratch;
  Proof proof(all_parts(GetParam().overrides, layouts).config, 2, scratch.path(), run_ranks);
  proof.record();
  EXPECT_THAT(proof.vanished(), IsEmpty());
  for (const ProofLayout& layout : layouts) {
    const LayoutVerdict v = proof.prove(layout);
    EXPECT_THAT(v.verdict.failures, IsEmpty()) << print(v);
    EXPECT_GT(v.verdict.worst.size(), 8u);
    EXPECT_EQ(v.not_counted, "");
  }
}

// Sanitizers look for faults that hardly depend on the model, and make a proof take half a minute.
std::vector<Case> models() {
  const std::vector<Case> all = {
      Case{"all_parts", {}},
      Case{"reference", {"run.device=reference"}},
      Case{"single_pass", {"model.residual.type=mhc_single_pass", "model.tie_embeddings=true"}},
      Case{"inner_gates", {"model.moe.gate_position=inner", "model.recompute=block"}},
      Case{"two_steps", {"model.moe.num_groups=2", "model.moe.top_groups=2", "model.moe.top_k=4"}},
      Case{"no_epsilon", {"model.norm_eps=0"}},
      Case{"hc", {"model.residual.type=hc"}},
      Case{"plain", {"model.residual.type=plain"}},
      Case{"muon", {"optimizer.type=muon", "optimizer.engram.update=sparse_adamw"}},
      Case{"learned_positions",
           {"model.attention.type=gqa", "model.attention.num_kv_heads=2", "model.attention.bias=true",
            "model.position=learned", "model.max_positions=32", "model.tie_embeddings=true"}},
      Case{"gqa",
           {"model.attention.type=gqa", "model.attention.num_kv_heads=2", "model.attention.bias=true",
            "model.norm=layernorm"}}};
#ifdef BIRKHOFF_SANITIZED
  return {all[0], all[6]};
#else
  return all;
#endif
}
INSTANTIATE_TEST_SUITE_P(Models, Layouts, testing::ValuesIn(models()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Proof, DoesNotCountALayoutOfOneRank) {
  const TempDir scratch;
  Proof proof(all_parts({}, {}).config, 1, scratch.path(), run_ranks);
  proof.record();
  const LayoutVerdict v = proof.prove(proof_layout(parse_layout("1"), 8));
  EXPECT_THAT(v.verdict.failures, IsEmpty());
  EXPECT_THAT(v.not_counted, HasSubstr("no other code"));
}

TEST(ProofConfigs, AreMadeFitForAllLayoutsAndSayWhatChanged) {
  const std::vector<ProofLayout> layouts = {proof_layout({.dp = 2}, 8), proof_layout({.dp = 3}, 8)};
  const ProofConfig p = proof_config(
      parse_config("batch: {micro_batch_size: 2, global_batch_size: 14}\nprecision: {recipe: bf16}\n").config, layouts);
  EXPECT_EQ(p.config.batch.global_batch_size, 24);
  EXPECT_EQ(p.config.precision.recipe, Recipe::f32);
  EXPECT_EQ(p.config.optimizer.adamw.eps, kProofEps);
  EXPECT_GT(p.config.model.vocab_size, 0);
  EXPECT_THAT(p.changes, Contains(HasSubstr("batch.global_batch_size 14 -> 24")));
  EXPECT_THAT(p.changes, Contains(HasSubstr("precision.recipe bf16 -> f32")));
}

TEST(ProofConfigs, UpdateEverythingInEveryStep) {
  const ProofConfig p =
      proof_config(parse_config("model: {vocab_size: 61, engram: {layers: [0]}}\n"
                                "optimizer: {learning_rate: 0, engram: {learning_rate_multiplier: 0}}\n")
                       .config,
                   {});
  EXPECT_GT(p.config.optimizer.schedule.learning_rate, 0);
  EXPECT_GT(p.config.optimizer.engram.learning_rate_multiplier, 0);
  EXPECT_FALSE(p.config.optimizer.spike.skip);
  for (const char* path : {"learning_rate 0 ->", "learning_rate_multiplier 0 ->", "spike.skip true -> false"})
    EXPECT_THAT(p.changes, Contains(HasSubstr(path)));
}

// A key without rotated dims has an empty range of rows, whose gradient neither differs nor vanishes.
TEST(Proof, PassesOverEmptyRanges) {
  const ProofLayout layout = proof_layout(parse_layout("tp2"), 8);
  const TempDir scratch;
  Proof proof(all_parts({"model.attention.qk_rope_head_dim=0"}, {layout}).config, 1, scratch.path(), run_ranks);
  proof.record();
  EXPECT_THAT(proof.vanished(), IsEmpty());
  EXPECT_THAT(proof.prove(layout).verdict.failures, IsEmpty());
}

}  // namespace
}  // namespace birkhoff::test

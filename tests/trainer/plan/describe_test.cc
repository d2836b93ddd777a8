#include "trainer/plan/describe.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "parallel/comm/threads/thread_world.h"
#include "trainer/bench/subject.h"
#include "trainer/config/reader.h"

namespace birkhoff {
namespace {

using testing::ContainsRegex;
using testing::Each;
using testing::Field;
using testing::HasSubstr;

Config load(const std::string& name, const std::vector<std::string>& overrides) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  return load_config(std::string(source ? source : ".") + "/configs/" + name, overrides).config;
}

ModelDescription describe(const std::string& name, const std::vector<std::string>& overrides = {}) {
  return describe_model(load(name, overrides));
}

void expect_formula_equals_count(const ModelDescription& d) {
  FlopsTerm sum;
  for (const FlopsTerm& t : d.flops) {
    sum.forward += t.forward;
    sum.training += t.training;
  }
  EXPECT_GT(d.counted_forward, 0);
  EXPECT_DOUBLE_EQ(sum.forward, d.counted_forward);
  EXPECT_DOUBLE_EQ(sum.training, d.counted_training);
}

// As published: 671,026,404,352 weights and 14,848 router biases, another 11.6B with the MTP module, 37B active.
TEST(DescribeModel, DeepSeekV3HasItsPublishedNumberOfParameters) {
  const ModelDescription d = describe("deepseek_v3.yaml");
  EXPECT_EQ(d.total(), 671026419200);
  EXPECT_EQ(d.router_biases, 14848);
  EXPECT_EQ(d.mtp_total(), 11610068224);
  EXPECT_EQ(d.active(), 37552297472);
  EXPECT_THAT(print(d),
              testing::AllOf(HasSubstr("671,026,419,200  14,848 router biases included"), HasSubstr("11,610,068,224")));
}

TEST(DescribeModel, EngramTablesHaveThePublishedNumberOfRows) {
  const ModelDescription d = describe("engram_v41.yaml");
  ASSERT_EQ(d.tables.size(), 2u);
  EXPECT_EQ(d.tables[0].rows, 384006168);
  EXPECT_EQ(d.tables[1].rows, 384016682);
  EXPECT_EQ(d.table_parameters(), (384006168 + 384016682) * int64_t{256});
  EXPECT_EQ(d.tables[0].rows_per_token, 24);
}

// A site has 24 rows of 4 C inputs, 24 biases and 3 scales.
TEST(DescribeModel, SitesOfHyperConnectionsHaveTheirNumberOfParameters) {
  const std::pair<const char*, int64_t> sizes[] = {{"4096", 393243}, {"5120", 491547}, {"7168", 688155}};
  for (const auto& [channels, parameters] : sizes) {
    const ModelDescription d = describe("engram_v41.yaml", {std::string("model.hidden_size=") + channels});
    EXPECT_EQ(d.sites.size(), 80u);
    EXPECT_THAT(d.sites, Each(Field(&ModelDescription::Site::parameters, parameters)));
  }
}

TEST(DescribeModel, FlopsByFormulaAreThoseThatTheOpsCount) {
  const std::string vocab = "model.vocab_size=1000";
  expect_formula_equals_count(describe("deepseek_v3.yaml"));
  expect_formula_equals_count(describe("engram_v41.yaml"));
  expect_formula_equals_count(describe("bench/gpt_14m.yaml"));
  for (const char* change :
       {"model.recompute=none", "model.recompute=block", "model.recompute=mhc", "model.residual.type=plain",
        "model.residual.type=hc", "model.residual.type=mhc_single_pass", "model.engram.conv=true", "model.mtp.depth=2",
        "model.moe.first_dense_layers=5", "model.attention.q_lora_rank=48", "batch.micro_batch_size=3"}) {
    SCOPED_TRACE(change);
    std::vector<std::string> overrides{vocab, change};
    if (std::string(change) == "model.residual.type=plain") overrides.push_back("model.residual.streams=1");
    expect_formula_equals_count(describe("quickstart.yaml", overrides));
  }
}

TEST(DescribeModel, PrintsWhichParameterHasWhichOptimizer) {
  const std::string text = print(describe("deepseek_v3.yaml"));
  EXPECT_THAT(text, HasSubstr("which parameter has which optimizer"));
  EXPECT_THAT(text, ContainsRegex("layers\\.\\[3-60\\]\\.ffn\\.experts\\.up +\\[256, 4096, 7168\\] +adamw"));
  EXPECT_THAT(text, ContainsRegex("layers\\.\\[3-60\\]\\.ffn\\.gate\\.bias +\\[256\\] +sign of the load error"));
}

TEST(DescribeModel, BytesFollowFromParametersAndTheRecipe) {
  const ModelDescription d = describe("quickstart.yaml", {"model.vocab_size=1000"});
  const int64_t parameters = d.total() + d.mtp_total();
  EXPECT_EQ(d.bytes.weights, 4 * parameters);
  const int64_t trained = parameters - d.router_biases - d.mtp_router_biases;
  // The MTP module uses embedding and head once more, and each use has its own accumulator.
  EXPECT_EQ(d.bytes.gradients, 4 * (trained + 2 * 1000 * 256));
  EXPECT_EQ(d.bytes.moments, 2 * 4 * trained);
  EXPECT_EQ(d.bytes.tables, 4 * d.table_parameters());
  EXPECT_EQ(d.bytes.table_moments, d.bytes.tables);
  EXPECT_GT(d.bytes.packed_weights, 0);
  const ModelDescription half = describe("quickstart.yaml", {"model.vocab_size=1000", "precision.moments=bf16"});
  EXPECT_EQ(half.bytes.moments, d.bytes.moments / 2);
}

TEST(DescribeModel, RecomputationTakesLessMemory) {
  const std::string vocab = "model.vocab_size=1000";
  const auto bytes = [&](const std::string& how) {
    return describe("quickstart.yaml", {vocab, "model.recompute=" + how}).bytes.activations;
  };
  EXPECT_LT(bytes("block"), bytes("none"));
  EXPECT_LT(bytes("mhc"), bytes("none"));
}

// In logged steps, mixing matrices are kept in addition to the activations of other steps: 4 x 4 in f32 for 32 tokens,
// in 2 layers and one MTP module with 2 sublayers each.
TEST(DescribeModel, ActivationsCountTheMixingMatricesThatLoggedStepsKeep) {
  const auto alone = make_thread_world(1);
  for (const char* recompute : {"none", "mhc", "block"}) {
    SCOPED_TRACE(recompute);
    const Config c =
        load("test.yaml", {"model.vocab_size=400", "run.log_interval=10", std::string("model.recompute=") + recompute});
    Subject unlogged(*alone[0], c, Device{DeviceKind::meta});
    for (int i = 0; i < 2; ++i) unlogged.step();
    EXPECT_EQ(describe_model(c).bytes.activations,
              static_cast<int64_t>(unlogged.trainer().peak_activation_bytes()) + 6 * 32 * 16 * 4);
  }
}

TEST(DescribeModel, SaysWhatIsMissingWhereTheTokenizerGivesTheVocabulary) {
  try {
    describe("quickstart.yaml", {"data.tokenizer=/nowhere/tokenizer.json"});
    FAIL();
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), testing::AllOf(HasSubstr("/nowhere/tokenizer.json"), HasSubstr("--set model.vocab_size")));
  }
}

}  // namespace
}  // namespace birkhoff

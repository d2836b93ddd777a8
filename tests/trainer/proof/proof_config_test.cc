#include "trainer/proof/proof_config.h"

#include <gmock/gmock.h>

#include "trainer/config/reader.h"

namespace birkhoff::test {
namespace {

using testing::ElementsAre;

// configs/verify.yaml is the model that the documentation tells people to prove layouts with.
TEST(ProofConfigs, HaveOneWithEveryFeatureAndTheDivisorsOfTheLayouts) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  const LoadedConfig loaded = load_config(std::string(source ? source : ".") + "/configs/verify.yaml");
  EXPECT_TRUE(loaded.warnings.empty());
  const DecoderOptions& m = loaded.config.model;
  EXPECT_EQ(m.attention.type, AttentionType::mla);
  EXPECT_GT(m.attention.q_lora_rank, 0);
  EXPECT_GT(m.moe.num_groups, m.moe.top_groups) << "groups are left out";
  EXPECT_EQ(m.moe.num_shared, 1);
  EXPECT_EQ(m.moe.first_dense_layers, 1) << "a dense block too";
  EXPECT_EQ(m.residual.type, ResidualType::mhc);
  EXPECT_EQ(m.residual.streams, 4);
  EXPECT_EQ(m.num_layers, 8);
  EXPECT_THAT(m.engram.layers, ElementsAre(0, 5));
  EXPECT_TRUE(m.engram.conv);
  EXPECT_EQ(m.mtp.depth, 2);
  EXPECT_GE(m.z_loss, 1e-3);
  EXPECT_GE(m.moe.sequence_balance_loss, 1e-2);
  for (const int64_t divided :
       {m.attention.num_heads, m.hidden_size, m.ffn.size, m.moe.expert_size, m.moe.num_experts, m.moe.num_groups}) {
    EXPECT_EQ(divided % 4, 0) << divided;
  }
  EXPECT_EQ(m.vocab_size % 2, 1);
  EXPECT_EQ(loaded.config.batch.sequence_length % 2, 1);
}

}  // namespace
}  // namespace birkhoff::test

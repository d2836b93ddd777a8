// How far one rank is from the reference device, which takes the same steps from the same states with the same choices.
// In f32 the bounds of the proof stand on this distance; in the other recipes it is the yardstick itself.
// docs/numerics.md has the figures of the first test.
#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/temp_dir.h"
#include "trainer/config/reader.h"
#include "trainer/proof/proof_config.h"
#include "trainer/proof/verify.h"

namespace birkhoff::test {
namespace {

using testing::IsEmpty;

// A model with every feature: queries with a latent, grouped and shared experts, mHC, Engram with its convolution in
// the first block and a later one, two MTP predictors, z-loss, and a balance loss that shows.
Config every_feature(const std::vector<ProofLayout>& layouts, Recipe recipe) {
  const char* folder = std::getenv("BIRKHOFF_SOURCE_DIR");
  const std::vector<std::string> overrides = {"model.vocab_size=61",
                                              "batch.sequence_length=19",
                                              "model.num_layers=4",
                                              "model.attention.q_lora_rank=12",
                                              "model.moe.num_groups=4",
                                              "model.moe.top_groups=2",
                                              "model.moe.sequence_balance_loss=0.1",
                                              "model.engram.layers=[0,2]",
                                              "model.engram.conv=true",
                                              "model.mtp.depth=2",
                                              "model.z_loss=0.001"};
  const Config config = load_config(std::string(folder ? folder : ".") + "/configs/test.yaml", overrides).config;
  return proof_config(config, layouts, recipe).config;
}

TEST(DistanceInF32, IsAtMostHalfOfEachBound) {
  const TempDir scratch;
  Proof proof(every_feature({}, Recipe::f32), 2, scratch.path(), run_ranks);
  proof.record();
  EXPECT_THAT(proof.vanished(), IsEmpty());
  EXPECT_THAT(proof.zero_by_structure(), IsEmpty()) << "Engram stands before the first site";
  const Verdict distance = proof.distance_from_reference({});
  for (const auto& [family, worst] : distance.worst) {
    std::printf("%-22s %.1e of the bound  %s\n", family.c_str(), worst.ratio(), worst.where.c_str());
    EXPECT_LE(worst.ratio(), 0.5) << family << ", " << worst.where;
  }
  EXPECT_GT(distance.worst.size(), 12u);
}

class OtherRecipe : public testing::TestWithParam<Recipe> {};

TEST_P(OtherRecipe, IsAsFarFromTheReferenceInALayoutAsOnOneRank) {
  const std::vector<ProofLayout> layouts = {proof_layout({.dp = 3}, 3)};
  const TempDir scratch;
  Proof proof(every_feature(layouts, GetParam()), 1, scratch.path(), run_ranks);
  proof.record();
  const LayoutVerdict v = proof.prove(layouts[0]);
  EXPECT_THAT(v.verdict.failures, IsEmpty()) << print(v);
  std::printf("%s", print(v).c_str());
  // bf16 keeps 8 bits, so even a family of few tensors is off by more than f32 rounds.
  EXPECT_GT(v.verdict.worst.at("attention").bound, 1e-3);
}
INSTANTIATE_TEST_SUITE_P(Recipes, OtherRecipe, testing::Values(Recipe::bf16, Recipe::fp8_block),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace birkhoff::test

// What one layout saves, every other layout loads: weights, moments, router biases and tables are bitwise equal after
// they have been put together.
#include <gmock/gmock.h>

#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/temp_dir.h"
#include "trainer/config/reader.h"
#include "trainer/proof/layouts.h"
#include "trainer/proof/proof_config.h"
#include "trainer/proof/rank.h"
#include "trainer/step/build.h"

namespace birkhoff::test {
namespace {

using testing::IsEmpty;

// Sanitizers make a step several times slower, and look for faults that a few layouts show.
std::vector<ProofLayout> layouts() {
#ifdef BIRKHOFF_SANITIZED
  const std::vector<std::string> names = {"1", "dp3", "tp2.ep2.etp2"};
#else
  const std::vector<std::string> names = {"1",       "dp2",     "dp3", "tp2",          "tp4",
                                          "tp2.dp2", "tp2.dp3", "ep2", "tp2.ep2.etp2", "tp2.dp2.ep4"};
#endif
  std::vector<ProofLayout> all;
  for (const std::string& name : names) all.push_back(proof_layout(parse_layout(name), 8));
  return all;
}

Config config_for(const std::vector<ProofLayout>& all, OptimizerType optimizer) {
  const char* folder = std::getenv("BIRKHOFF_SOURCE_DIR");
  const std::vector<std::string> overrides = {"model.vocab_size=61", "batch.sequence_length=19",
                                              "model.attention.num_heads=4",
                                              concat("optimizer.type=", name_of(optimizer))};
  return proof_config(load_config(std::string(folder ? folder : ".") + "/configs/test.yaml", overrides).config, all)
      .config;
}

// Runs `body` on each rank of a layout, and returns the whole state after it.
Whole state_after(const ProofLayout& layout, const Config& config, const std::function<void(ProofRank&)>& body) {
  Whole state;
  run_ranks(layout.ranks, [&](Communicator& world) {
    ProofRank rank(world, config, layout.degrees);
    rank.set_values();
    body(rank);
    Whole mine = rank.state();
    if (world.rank() == 0) state = std::move(mine);
  });
  return state;
}

class SavedStates : public testing::TestWithParam<std::tuple<ProofLayout, OptimizerType>> {};

TEST_P(SavedStates, AreLoadedByEveryOtherLayout) {
  const std::vector<ProofLayout> all = layouts();
  const auto [layout, optimizer] = GetParam();
  const Config config = config_for(all, optimizer);
  const DrawnDocuments documents(config, 1, addresses_without_tokenizer(config));
  const TempDir folder;
  // A step gives moments and momenta values that are not zero.
  const Whole saved = state_after(layout, config, [&](ProofRank& rank) {
    rank.step(documents, 0);
    rank.save(folder.path());
  });
  ASSERT_THAT(saved.faults, IsEmpty());
  ASSERT_GT(saved.tensors.size(), 100u);
  EXPECT_EQ(saved.tensors.contains("muon.momentum.layers.0.ffn.down.weight"), optimizer == OptimizerType::muon);
  for (const ProofLayout& other : all) {
    const Whole loaded = state_after(other, config, [&](ProofRank& rank) { rank.load(folder.path()); });
    EXPECT_THAT(loaded.faults, IsEmpty()) << other.name();
    EXPECT_THAT(bitwise_differences(saved, loaded), IsEmpty()) << "loaded by " << other.name();
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, SavedStates,
                         testing::Combine(testing::ValuesIn(layouts()),
                                          testing::Values(OptimizerType::adamw, OptimizerType::muon)),
                         [](const auto& info) {
                           std::string name = std::get<0>(info.param).name();
                           std::replace(name.begin(), name.end(), '.', '_');
                           return concat("of_", name, "_", name_of(std::get<1>(info.param)));
                         });

}  // namespace
}  // namespace birkhoff::test

// The layouts that bench layout chooses, and the memory that it compares with the plan.
#include <cstdlib>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/threads/run_ranks.h"
#include "trainer/bench/layout_choice.h"
#include "trainer/bench/layout_memory.h"
#include "trainer/bench/room.h"
#include "trainer/config/layout_rules.h"
#include "trainer/config/reader.h"

namespace birkhoff {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

Config config(std::vector<std::string> overrides = {}) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  overrides.push_back("model.vocab_size=400");
  return load_config(std::string(source ? source : ".") + "/configs/test.yaml", overrides).config;
}

std::vector<std::string> names(const std::string& list, int ranks, const Config& c = config()) {
  std::vector<std::string> names;
  for (const MeshDegrees& layout : bench_layouts(c, list, ranks)) names.push_back(layout_name(layout));
  return names;
}

TEST(LayoutsToBench, AreThoseWithOneAxisBesidesDp) {
  EXPECT_THAT(names("", 2), testing::UnorderedElementsAre("dp2", "tp2", "dp2.ep2"));
  EXPECT_THAT(names("", 4), testing::UnorderedElementsAre("dp4", "tp2.dp2", "tp4", "dp4.ep2", "dp4.ep4"));
  EXPECT_EQ(names("", 4).front(), "dp4");
  // Two ranks cannot share three heads.
  EXPECT_THAT(names("", 2, config({"model.attention.num_heads=3"})), Not(Contains("tp2")));
}

TEST(LayoutsToBench, AreThoseOfTheListAfterDpAlone) {
  EXPECT_THAT(names("ep2,tp2.ep4,dp4,ep2", 4), ElementsAre("dp4", "dp4.ep2", "tp2.dp2.ep4"));
  EXPECT_THAT(names("all", 2), Contains("tp2.etp2"));
  EXPECT_THROW(names("tp3", 4), UserError);
  EXPECT_THROW(names("tp2,warp2", 4), UserError);
  EXPECT_THROW(names("tp2", 4, config({"batch.global_batch_size=2"})), UserError) << "dp alone is the baseline";
}

TEST(LayoutsToBench, HaveTheDispatchOfTheConfig) {
  const Config grouped = config({"parallel.dispatch=grouped"});
  EXPECT_THAT(names("", 2, grouped), testing::UnorderedElementsAre("dp2", "tp2", "dp2.ep2.grouped"));
  EXPECT_THAT(names("ep2", 2, grouped), ElementsAre("dp2", "dp2.ep2.grouped"));
}

TEST(LayoutsToBench, AreRefusedWithoutRoom) {
  run_ranks(2, [](Communicator& world) {
    const std::vector<MeshDegrees> layouts = bench_layouts(config(), "tp2", 2);
    EXPECT_NO_THROW(check_room(world, config(), layouts, {int64_t{1} << 40, "", INT64_MAX}));
    EXPECT_THROW(check_room(world, config(), layouts, {1 << 20, "", INT64_MAX}), UserError);
    EXPECT_THROW(check_room(world, config(), layouts, {int64_t{1} << 40, "", 1 << 20}), UserError);
  });
}

TEST(LayoutsToBench, AreThoseOfTheConfigThatItTrains) {
  const MeshDegrees layout = bench_layouts(config(), "tp2.ep4", 4).back();
  const Config c = with_layout(config(), layout);
  EXPECT_EQ(c.parallel.tp, 2);
  EXPECT_EQ(c.parallel.dp, 2);
  EXPECT_EQ(c.parallel.ep, 4);
}

TEST(LayoutMemory, OfRealRanksIsThatOfThePlan) {
  for (const char* layout : {"tp2.dp2", "tp4", "tp2.dp2.ep2", "dp4.ep4", "tp2.dp2.etp2.ep2", "tp4.dp2"}) {
    const int ranks = std::string(layout) == "tp4.dp2" ? 8 : 4;
    run_ranks(ranks, [&](Communicator& world) {
      const Config c = with_layout(config(), check_layout(config(), parse_layout(layout), ranks));
      const LayoutMemory memory = measure_layout_memory(world, c);
      int exact = 0;
      for (const LayoutMemory::Class& of : memory.classes) {
        EXPECT_GT(of.counted, 0) << of.name;
        if (!of.exact) continue;
        ++exact;
        EXPECT_EQ(of.difference, 0) << layout << ": " << of.name;
        EXPECT_EQ(of.planned, of.counted) << layout << ": " << of.name;
      }
      EXPECT_EQ(exact, 6);
      EXPECT_GT(memory.between_layers, 0);
    });
  }
}

TEST(LayoutMemory, ShowsTheRankThatDiffersFromItsPlanAndThatWhosePeakIsFurthestFromIt) {
  run_ranks(2, [](Communicator& world) {
    const bool last = world.rank() == 1;
    const RankBytes planned{.weights = 100, .activations = 100}, other{.weights = last ? 90 : 100, .activations = 100};
    const LayoutMemory memory = compare_with_plan(world, planned, other, last ? 400 : 250);
    EXPECT_EQ(memory.classes.front().name, "weights");
    EXPECT_EQ(memory.classes.front().difference, 10);
    ASSERT_TRUE(memory.peak.has_value());
    EXPECT_EQ(memory.peak->planned_over_measured(), 0.5);
    EXPECT_FALSE(compare_with_plan(world, planned, other, last ? std::nullopt : std::optional<int64_t>(1)).peak);
  });
}

}  // namespace
}  // namespace birkhoff

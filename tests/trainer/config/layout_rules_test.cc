#include "trainer/config/layout_rules.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "trainer/config/reader.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr Axis kOfLayers[] = {Axis::dp, Axis::tp, Axis::ep, Axis::etp};

// Experts of width 192 after a dense layer; 4 heads of width 64.
Config config(std::vector<std::string> overrides = {}) {
  const std::string yaml =
      "model:\n  hidden_size: 256\n  num_layers: 3\n  attention: {type: gqa, num_heads: 4, num_kv_heads: 2}\n"
      "  ffn: {size: 512}\n  moe: {num_experts: 8, expert_size: 192, first_dense_layers: 1}\n"
      "batch: {global_batch_size: 24}\n";
  return parse_config(yaml, "x.yaml", overrides, ConfigUse::layout).config;
}

std::string refusal(const Config& c, std::string_view layout, int64_t ranks, Axes available = kOfLayers) {
  try {
    check_layout(c, parse_layout(layout), ranks, available);
    return "";
  } catch (const UserError& e) {
    return e.what();
  }
}

std::vector<std::string> names(const std::vector<MeshDegrees>& layouts) {
  std::vector<std::string> all;
  for (const MeshDegrees& layout : layouts) all.push_back(layout_name(layout));
  return all;
}

TEST(LayoutRules, TellAllReasonsAndTheNearestLayouts) {
  EXPECT_EQ(
      refusal(config({"model.attention.num_kv_heads=4", "model.ffn.size=513", "model.moe.num_shared=0"}), "tp3.ep4", 8),
      "layout tp3.ep4 on 8 ranks:\n"
      "  tp 3   does not divide model.attention.num_heads 4\n"
      "  tp 3   does not divide model.attention.num_kv_heads 4\n"
      "  tp 3   does not divide the 8 ranks\n"
      "nearest that work: dp8.ep4, dp8.ep2, dp8.ep8");
  EXPECT_EQ(refusal(config({"model.attention.num_kv_heads=4", "model.moe.num_shared=0"}), "tp3.ep4", 8),
            "layout tp3.ep4 on 8 ranks:\n"
            "  tp 3   does not divide model.attention.num_heads 4\n"
            "  tp 3   does not divide model.attention.num_kv_heads 4\n"
            "  tp 3   does not divide model.ffn.size 512\n"
            "  tp 3   does not divide the 8 ranks\n"
            "nearest that work: tp2.dp4.ep4, tp4.dp2.ep4, dp8.ep4");
}

TEST(LayoutRules, CheckEveryWidthThatAnAxisDivides) {
  EXPECT_EQ(refusal(config(), "tp2.dp2.etp2.ep2", 4), "");
  EXPECT_THAT(refusal(config(), "tp4", 4), HasSubstr("tp 4   does not divide model.attention.num_kv_heads 2"));
  EXPECT_THAT(refusal(config(), "ep3", 3), HasSubstr("ep 3   does not divide model.moe.num_experts 8"));
  EXPECT_THAT(refusal(config(), "etp9", 9), HasSubstr("etp 9   does not divide model.moe.expert_size 192"));
  const Config odd = config({"model.moe.expert_size=33", "model.moe.num_shared=3"});
  EXPECT_THAT(refusal(odd, "tp2", 2), HasSubstr("tp 2   does not divide model.moe.num_shared x expert_size 99"));
  const Config dense = config({"model.moe.num_experts=0"});
  EXPECT_THAT(refusal(dense, "ep2.etp2", 4), AllOf(HasSubstr("ep 2    divides experts, but the model has none"),
                                                   HasSubstr("etp 2   divides experts")));
  EXPECT_THAT(refusal(config({"model.ffn.size=511"}), "tp2", 2),
              HasSubstr("tp 2   does not divide model.ffn.size 511"));
  EXPECT_EQ(refusal(config({"model.ffn.size=511", "model.moe.first_dense_layers=0"}), "tp2", 2), "")
      << "no dense layer";
}

TEST(LayoutRules, CheckTheGroupsOfTheGroupedDispatch) {
  const auto grouped = [](int groups, const char* layout, int ranks) {
    return refusal(config({concat("model.moe.num_groups=", groups), "model.moe.top_groups=1",
                           concat("batch.global_batch_size=", ranks), "batch.micro_batch_size=1"}),
                   layout, ranks);
  };
  EXPECT_EQ(grouped(4, "ep2.grouped", 2), "");
  EXPECT_EQ(grouped(2, "ep4.grouped", 4), "");
  EXPECT_EQ(grouped(1, "ep4.grouped", 4), "");
  const Config twelve = config({"model.moe.num_experts=12", "model.moe.num_groups=4", "model.moe.top_groups=1",
                                "batch.global_batch_size=6", "batch.micro_batch_size=1"});
  EXPECT_THAT(refusal(twelve, "ep6.grouped", 6), HasSubstr("ep 6   with the grouped dispatch neither divides "
                                                           "model.moe.num_groups 4 nor is a multiple of it"));
  EXPECT_EQ(refusal(twelve, "ep6", 6), "");
  EXPECT_THAT(refusal(twelve, "ep6.grouped", 6), HasSubstr("nearest that work: dp6.ep6, ")) << "without the dispatch";
  EXPECT_EQ(with_ep_groups(twelve, parse_layout("ep12.grouped")).ep_groups, 4);
  EXPECT_EQ(with_ep_groups(twelve, parse_layout("ep2.grouped")).ep_groups, 2);
  EXPECT_EQ(with_ep_groups(twelve, parse_layout("ep12")).ep_groups, 1);
}

TEST(LayoutRules, CheckTheRanksOfTheWorldAndOfAStage) {
  EXPECT_THAT(refusal(config(), "tp2", 3), HasSubstr("tp 2   does not divide the 3 ranks"));
  EXPECT_THAT(refusal(config(), "tp2.dp2", 8),
              HasSubstr("dp 2   does not fit the 8 ranks, of which tp 2 leaves 4; start another number of ranks"));
  EXPECT_THAT(refusal(config(), "dp2", 3), HasSubstr("dp 2   does not fit the 3 ranks; start"));
  EXPECT_THAT(refusal(config(), "ep4", 6), HasSubstr("ep 4   does not divide the 6 ranks of a stage"));
  EXPECT_THAT(refusal(config(), "etp3.ep4", 6), HasSubstr("ep 4   x etp 3 does not divide the 6 ranks of a stage"));
  EXPECT_THAT(refusal(config(), "tp2.pp4.ep4", 8, kLayoutAxes),
              HasSubstr("ep 4   does not divide the 2 ranks of a stage"));
  EXPECT_THAT(refusal(config(), "tp2.cp4", 4, kLayoutAxes),
              HasSubstr("tp 2   is too many: tp 2 x cp 4 = 8 does not divide the 4 ranks"));
  EXPECT_THAT(refusal(config(), "engram3", 4, kLayoutAxes),
              HasSubstr("engram 3   does not divide the 4 ranks of a stage"));
}

TEST(LayoutRules, CheckTheBatchOnEveryReplica) {
  const Config c = config({"batch.micro_batch_size=2", "batch.global_batch_size=12"});
  EXPECT_EQ(refusal(c, "dp3", 3), "");
  EXPECT_EQ(refusal(c, "1", 4, kAvailableAxes),
            "layout dp4 on 4 ranks:\n  dp 4   x batch.micro_batch_size 2 does not divide batch.global_batch_size 12\n"
            "nearest that work: tp2.dp2, tp2.dp2.ep2, tp2.dp2.etp2");
  EXPECT_THAT(refusal(c, "1", 5, kAvailableAxes),
              HasSubstr("\nno layout works on so many ranks; change their number or the config"));
  EXPECT_EQ(refusal(c, "tp2.dp2", 4), "") << "only replicas share the batch";
  Config ramp = c;
  ramp.batch.ramp = {6, 6, 3};
  EXPECT_THAT(refusal(ramp, "dp2", 2), AllOf(HasSubstr("batch.ramp.initial_size 6"),
                                             HasSubstr("batch.ramp.increment 6"), Not(HasSubstr("global_batch_size"))));
}

TEST(LayoutRules, KeepTheBlocksOfFp8Whole) {
  const auto fp8 = [](std::vector<std::string> overrides) {
    overrides.push_back("precision.recipe=fp8_block");
    return config(std::move(overrides));
  };
  EXPECT_EQ(refusal(fp8({"model.moe.num_shared=0", "model.attention.head_dim=128"}), "tp2", 2), "");
  // Each rank has two of four heads of width 64, but one of the two key heads; expert_size 192 is no multiple of 128,
  // which does no harm while it is whole.
  EXPECT_THAT(refusal(fp8({}), "tp2", 2),
              AllOf(HasSubstr("tp 2   leaves 64 of model.attention.num_kv_heads x head_dim 128; precision.recipe "
                              "fp8_block needs multiples of 128"),
                    HasSubstr("leaves 96 of model.moe.num_shared x expert_size 192"),
                    Not(HasSubstr("num_heads x head_dim 256")), Not(HasSubstr("ffn.size"))));
  EXPECT_EQ(refusal(fp8({}), "ep8", 8), "");
  EXPECT_THAT(refusal(fp8({}), "etp2", 2), HasSubstr("etp 2   leaves 96 of model.moe.expert_size 192"));
  const Config mla =
      fp8({"model.attention={type: mla, num_kv_heads: 0, qk_nope_head_dim: 96, qk_rope_head_dim: 32, "
           "v_head_dim: 64}",
           "model.moe.num_shared=0"});
  EXPECT_THAT(refusal(mla, "tp4", 4),
              AllOf(Not(HasSubstr("(qk_nope_head_dim + qk_rope_head_dim)")),
                    HasSubstr("leaves 160 of model.attention.num_heads x (qk_nope_head_dim + v_head_dim) 640"),
                    HasSubstr("leaves 64 of model.attention.num_heads x v_head_dim 256")));
}

TEST(LayoutRules, RefuseAxesThatAreNotAvailableTogetherWithOtherReasons) {
  EXPECT_EQ(refusal(config(), "tp3.pp2", 8, kAvailableAxes),
            "layout tp3.pp2 on 8 ranks:\n"
            "  pp 2   this axis is not available yet; leave it out\n"
            "  tp 3   does not divide model.attention.num_heads 4\n"
            "  tp 3   does not divide model.attention.num_kv_heads 2\n"
            "  tp 3   does not divide model.ffn.size 512\n"
            "  tp 3   does not divide the 8 ranks\n"
            "nearest that work: tp2.dp4, dp8, tp2.dp4.ep2");
}

TEST(LayoutRules, LeaveOutWhatDependsOnRanksThatAreNotKnown) {
  EXPECT_THAT(problems_of_layout(config(), parse_layout("dp7.ep8"), std::nullopt, kOfLayers), IsEmpty());
  EXPECT_EQ(problems_of_layout(config(), parse_layout("tp3"), std::nullopt, kOfLayers).size(), 3u);
}

TEST(LayoutRules, ListEveryLayoutOnceAndAllOfThemWork) {
  const std::vector<MeshDegrees> layouts = layouts_of(config(), 4, kOfLayers);
  EXPECT_THAT(names(layouts), testing::UnorderedElementsAre("dp4", "dp4.ep2", "dp4.ep4", "dp4.etp2", "dp4.etp4",
                                                            "dp4.etp2.ep2", "tp2.dp2", "tp2.dp2.ep2", "tp2.dp2.ep4",
                                                            "tp2.dp2.etp2", "tp2.dp2.etp4", "tp2.dp2.etp2.ep2"));
  for (const MeshDegrees& layout : layouts) EXPECT_EQ(refusal(config(), layout_name(layout), 4), "");
  const Config grouped = config({"parallel.dispatch=grouped", "model.moe.num_groups=4", "model.moe.top_groups=2"});
  EXPECT_THAT(names(layouts_of(grouped, 2)), testing::UnorderedElementsAre("dp2", "dp2.ep2.grouped", "dp2.etp2", "tp2",
                                                                           "tp2.ep2.grouped", "tp2.etp2"));
  EXPECT_THAT(names(nearest_layouts(grouped, parse_layout("tp3.ep2.grouped"), 2)),
              ElementsAre("tp2.ep2.grouped", "dp2.ep2.grouped", "tp2.ep2"));
  const Axis replicas[] = {Axis::dp};
  EXPECT_THAT(names(layouts_of(config(), 4, replicas)), ElementsAre("dp4"));
  EXPECT_THAT(layouts_of(config(), 7), IsEmpty()) << "7 does not divide the batch";
}

TEST(LayoutRules, OrderTheNearestByChangesThenByRatio) {
  EXPECT_THAT(names(nearest_layouts(config(), parse_layout("tp3.etp8"), 8, kOfLayers)),
              ElementsAre("tp2.dp4.etp8", "dp8.etp8", "tp2.dp4.etp4"));
  EXPECT_THAT(names(nearest_layouts(config(), parse_layout("tp2.dp3.ep2"), 8, kOfLayers)),
              ElementsAre("tp2.dp4.ep2", "tp2.dp4", "tp2.dp4.ep4"));
}

TEST(LayoutRules, GiveTheReplicasOfAConfig) {
  Config c = parse_config("batch: {global_batch_size: 12, micro_batch_size: 2}\n").config;
  EXPECT_EQ(check_world(c, 3), 3);
  EXPECT_THROW(check_world(c, 4), UserError);
  c.parallel.dp = 2;
  EXPECT_THAT([&] { check_world(c, 3); },
              testing::ThrowsMessage<UserError>(HasSubstr("dp 2   does not fit the 3 ranks")));
}

}  // namespace
}  // namespace birkhoff

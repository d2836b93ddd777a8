#include "trainer/proof/layouts.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"

namespace birkhoff::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

LayoutRules rules(std::vector<Axis> axes, int most_ranks = 8) {
  LayoutRules r;
  r.axes = std::move(axes);
  r.most_ranks = most_ranks;
  return r;
}
const std::vector<Axis> kInsideALayer = {Axis::tp, Axis::dp, Axis::ep, Axis::etp};

std::vector<std::string> names(const LayoutChoice& choice) {
  std::vector<std::string> names;
  for (const ProofLayout& layout : choice.layouts) names.push_back(layout.name());
  return names;
}
// "name: reason" of the axes that are available.
std::vector<std::string> left_out(const LayoutChoice& choice) {
  std::vector<std::string> lines;
  for (const auto& [name, reason] : choice.left_out) {
    if (reason != "this axis is not available yet") lines.push_back(concat(name, ": ", reason));
  }
  return lines;
}

std::string refused(const std::string& list, const LayoutRules& rules) {
  try {
    choose_layouts(list, rules);
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

TEST(AllLayouts, AreSingleAxesPairsAndTriplesWithoutRepetition) {
  const LayoutChoice all = all_layouts(rules(kInsideALayer));
  EXPECT_THAT(names(all), ElementsAre("tp2", "tp4", "dp2", "dp4", "dp2.etp2", "dp4.etp4", "dp2.ep2", "dp4.ep4",
                                      // Pairs: those of dp have two replicas of each expert, since dp2.ep2 is ep2.
                                      "tp2.dp2", "tp2.etp2", "tp2.ep2", "dp4.etp2", "dp4.ep2", "dp4.etp2.ep2",
                                      // Triples.
                                      "tp2.dp2.etp2", "tp2.dp2.ep2", "tp2.dp2.etp2.ep2", "dp8.etp2.ep2",
                                      // Those that divide experts, grouped.
                                      "dp2.ep2.grouped", "dp4.ep4.grouped", "tp2.ep2.grouped", "dp4.ep2.grouped",
                                      "dp4.etp2.ep2.grouped", "tp2.dp2.ep2.grouped", "tp2.dp2.etp2.ep2.grouped",
                                      "dp8.etp2.ep2.grouped"));
  EXPECT_THAT(left_out(all), IsEmpty());
  EXPECT_THAT(all.left_out, SizeIs(3)) << "cp, pp and engram are not available";
  for (const ProofLayout& layout : all.layouts) {
    EXPECT_EQ(resolve_degrees(layout.degrees, layout.ranks)[static_cast<size_t>(Axis::dp)], layout.degrees.dp);
  }
}

TEST(AllLayouts, AreThoseOfTheAxesThatAreAvailable) {
  const LayoutChoice all = all_layouts(rules({Axis::tp, Axis::dp}));
  EXPECT_THAT(names(all), ElementsAre("tp2", "tp4", "dp2", "dp4", "tp2.dp2"));
  EXPECT_THAT(all.left_out, SizeIs(5));
  EXPECT_EQ(names(all_layouts({})), names(all_layouts(rules(kInsideALayer))));
}

TEST(AllLayouts, LeaveOutWhatNeedsMoreRanks) {
  const LayoutChoice all = all_layouts(rules(kInsideALayer, 3));
  EXPECT_THAT(names(all), ElementsAre("tp2", "dp2", "dp2.etp2", "dp2.ep2", "tp2.etp2", "tp2.ep2", "dp2.ep2.grouped",
                                      "tp2.ep2.grouped"));
  EXPECT_THAT(left_out(all), testing::Contains("tp2.dp2: needs 4 ranks, but --ranks allows 3"));
  EXPECT_THAT(left_out(all), testing::Contains("dp8.etp2.ep2: needs 8 ranks, but --ranks allows 3"));
  EXPECT_THAT(left_out(all), SizeIs(12));
}

TEST(AllLayouts, TakeTheLeastDegreesThatTheConfigAllows) {
  LayoutRules of_three_heads = rules({Axis::tp, Axis::dp});
  of_three_heads.refusal = [](const MeshDegrees& d) {
    return 3 % d.tp == 0 ? "" : concat("tp ", d.tp, " does not divide 3 heads");
  };
  const LayoutChoice all = all_layouts(of_three_heads);
  EXPECT_THAT(names(all), ElementsAre("dp2", "dp4", "tp3.dp2"));
  EXPECT_THAT(left_out(all), ElementsAre("tp2: tp 2 does not divide 3 heads", "tp4: tp 4 does not divide 3 heads"));
}

TEST(ProofLayouts, HaveTheLeastReplicasOverWhichExpertsAndTablesFold) {
  const LayoutRules all_axes = rules({Axis::tp, Axis::cp, Axis::dp, Axis::pp, Axis::etp, Axis::ep, Axis::engram}, 64);
  const auto resolved = [&](const char* text) {
    const ProofLayout layout = proof_layout(parse_layout(text), all_axes);
    return concat(layout.name(), " on ", layout.ranks);
  };
  EXPECT_EQ(resolved("ep2"), "dp2.ep2 on 2");
  EXPECT_EQ(resolved("tp2.ep2"), "tp2.ep2 on 2");
  EXPECT_EQ(resolved("tp2.ep4.etp2"), "tp2.dp4.etp2.ep4 on 8");
  EXPECT_EQ(resolved("pp2.ep2"), "dp2.pp2.ep2 on 4");
  EXPECT_EQ(resolved("cp2.engram4"), "cp2.dp2.engram4 on 4");
  EXPECT_EQ(resolved("1"), "1 on 1");
}

TEST(ChosenLayouts, AreRefusedAllAtOnce) {
  EXPECT_THAT(refused("dp2,cp2,xx,dp9", {}),
              AllOf(HasSubstr("layout cp2: only dp, tp, ep, etp are available yet"), HasSubstr("'xx' is not an axis"),
                    HasSubstr("layout dp9: needs 9 ranks, but --ranks allows 8")));
  EXPECT_THAT(refused("dp3.ep2", rules(kInsideALayer)), HasSubstr("dp must be a multiple of 2"));
  EXPECT_THAT(refused("tp1000000.ep1000000.etp1000000", rules(kInsideALayer)), HasSubstr("needs 1000000 ranks"));
  EXPECT_THAT(refused("", {}), HasSubstr("names no layout"));
  EXPECT_THAT(refused("all", rules({Axis::dp}, 1)), HasSubstr("no layout is left"));
  EXPECT_THAT(names(choose_layouts("dp3,dp3,dp2", {})), ElementsAre("dp3", "dp2"));
}

}  // namespace
}  // namespace birkhoff::test

#include "trainer/proof/free_routing.h"

#include <limits>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/temp_dir.h"
#include "trainer/config/reader.h"
#include "trainer/proof/proof_config.h"
#include "trainer/proof/verify.h"

namespace birkhoff::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(DecidingGap, IsBetweenTheLastExpertKeptAndTheFirstDropped) {
  EXPECT_DOUBLE_EQ(deciding_gap(std::vector<double>{0.5, 0.25, 0.75, 0.375}, {.num_chosen = 2}), 0.125);
  EXPECT_EQ(deciding_gap(std::vector<double>{0.5, 0.25}, {.num_chosen = 2}), std::numeric_limits<double>::infinity());
}

TEST(DecidingGap, IsThatOfTheGroupsWhereItIsSmaller) {
  // The groups have 1.25, 1.1875 and 0.25. Of the experts in the first two, 0.75 and 0.6875 are kept, 0.5 is dropped.
  const std::vector<double> scores = {0.75, 0.5, 0.6875, 0.5, 0.125, 0.125};
  EXPECT_DOUBLE_EQ(deciding_gap(scores, {.num_chosen = 2, .num_groups = 3, .num_groups_kept = 2}), 0.1875);
  EXPECT_DOUBLE_EQ(deciding_gap(scores, {.num_chosen = 1, .num_groups = 3, .num_groups_kept = 1}), 0.0625);
}

// Two layers that choose one of three experts for each of four tokens: two documents of two tokens.
struct Case {
  Case() {
    batch.tokens = {0, 0, 0, 0};
    batch.num_sequences = 1;
    batch.sequence_length = 4;
    batch.document_start = {0, 0, 2, 2};
    one.layers = {"first", "second"};
    for (const std::string& layer : one.layers) {
      RoutingRecord::Choice& c = one.choices[{0, layer}];
      c.shape = {4, 1};
      c.experts = {0, 0, 0, 0};
      // The best two experts of a token are 0 and 1, which differ by 0.25, of the last token by 1e-6.
      for (const double gap : {0.25, 0.25, 0.25, 1e-6}) c.scores.insert(c.scores.end(), {0.5, 0.5 - gap, 0.125});
      c.bias = {0, 0, 0};
    }
    layout = one;
    options.num_experts = 3;
    options.top_k = 1;
  }
  RoutingVerdict verdict() {
    Whole whole;
    run_ranks(1, [&](Communicator& world) { whole = assemble(world, choices_of(layout, {})); });
    return judge_routing(one, whole, {batch}, options);
  }
  // 996 more tokens, which agree.
  void make_long() {
    for (RoutingRecord* record : {&one, &layout}) {
      for (auto& [place, c] : record->choices) {
        c.shape = {1000, 1};
        c.experts.resize(1000, 0);
        while (c.scores.size() < 3000) c.scores.insert(c.scores.end(), {0.5, 0.25, 0.125});
      }
    }
    batch.tokens.resize(1000, 0);
    batch.sequence_length = 1000;
    batch.document_start.resize(1000, 4);
  }
  Batch batch;
  RoutingRecord one, layout;
  MoeOptions options;
};

TEST(FreeRouting, PassesWhereAllTokensAgree) {
  const RoutingVerdict v = Case().verdict();
  EXPECT_EQ(v.tokens, 4);
  EXPECT_EQ(v.disagreeing, 0);
  EXPECT_THAT(v.failures, IsEmpty());
}

TEST(FreeRouting, AllowsOtherChoicesWhereRoundingDecidesAndAfterwards) {
  Case c;
  c.make_long();
  c.layout.choices[{0, "first"}].experts[3] = 1;
  c.layout.choices[{0, "second"}].experts[2] = 1;  // the same document, in a later layer
  const RoutingVerdict v = c.verdict();
  EXPECT_EQ(v.disagreeing, 2);
  EXPECT_THAT(v.failures, IsEmpty());
}

TEST(FreeRouting, NamesLayerTokenAndGapWhereScoresDecide) {
  Case c;
  c.make_long();
  c.layout.choices[{0, "first"}].experts[3] = 1;
  c.layout.choices[{0, "second"}].experts[1] = 2;  // of the other document, whose first disagreement this is
  EXPECT_THAT(c.verdict().failures,
              ElementsAre(HasSubstr("second, token 1 of microbatch 0: other experts than one rank chose, where scores "
                                    "differ by 0.25")));
}

TEST(FreeRouting, FailsIfManyTokensDisagree) {
  Case c;
  c.layout.choices[{0, "first"}].experts[3] = 1;
  EXPECT_THAT(c.verdict().failures, ElementsAre(HasSubstr("1 of 4 tokens have other experts")));
}

TEST(FreeRouting, ComparesWhatTheBalanceLossCounts) {
  Case c;
  c.make_long();
  for (RoutingRecord* record : {&c.one, &c.layout}) {
    for (auto& [place, choice] : record->choices) choice.balance.assign(1000, 0);
  }
  c.layout.choices[{0, "second"}].balance[0] = 1;
  EXPECT_THAT(c.verdict().failures, ElementsAre(HasSubstr("second, token 0")));
}

TEST(FreeRouting, OfReplicasIsThatOfOneRank) {
  const char* folder = std::getenv("BIRKHOFF_SOURCE_DIR");
  const std::vector<ProofLayout> layouts = {proof_layout({.dp = 3}, 3)};
  Config config = load_config(std::string(folder ? folder : ".") + "/configs/test.yaml",
                              {"model.vocab_size=61", "batch.sequence_length=19", "model.moe.num_groups=4",
                               "model.moe.top_groups=2", "model.moe.sequence_balance_loss=0.1"})
                      .config;
  config = proof_config(config, layouts).config;
  const TempDir scratch;
  Proof proof(config, 2, scratch.path(), run_ranks, ProofRouting::free);
  proof.record();
  const LayoutVerdict v = proof.prove(layouts[0]);
  EXPECT_THAT(v.verdict.failures, IsEmpty()) << print(v);
  EXPECT_THAT(v.verdict.notes, ElementsAre(HasSubstr("step 0: "), HasSubstr("step 1: ")));
  config.precision.recipe = Recipe::bf16;
  EXPECT_THROW(Proof(config, 2, scratch.path(), run_ranks, ProofRouting::free), UserError);
}

}  // namespace
}  // namespace birkhoff::test

// Each seeded defect is found by the proof, in the family of tensors or numbers that it concerns. The sources that hold
// defects are compiled for this program alone (kernels/core/seeded_defect.h).
#include <gmock/gmock.h>

#include "kernels/core/seeded_defect.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/temp_dir.h"
#include "trainer/config/reader.h"
#include "trainer/proof/proof_config.h"
#include "trainer/proof/rank.h"
#include "trainer/proof/verify.h"

namespace birkhoff {
namespace {
std::string seeded;
}
bool has_seeded_defect(std::string_view name) { return name == seeded; }

namespace test {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::MatchesRegex;

struct Case {
  const char* defect;
  const char* layout;
  const char* failure;  // a pattern that one of the failures matches
  // The family whose worst error is at least ten times its bound; empty: the defect shows in an exact comparison.
  const char* family;
  std::vector<std::string> overrides = {};  // of the config
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.defect; }

class SeededDefect : public testing::TestWithParam<Case> {};

// The length of the sequences is odd, so that tp2 pads them.
LayoutVerdict verdict(const std::string& layout_text, const std::vector<std::string>& overrides = {}) {
  const char* folder = std::getenv("BIRKHOFF_SOURCE_DIR");
  const ProofLayout layout = proof_layout(parse_layout(layout_text), 8);
  std::vector<std::string> all = {"model.vocab_size=61", "batch.sequence_length=19",
                                  "model.moe.sequence_balance_loss=0.1", "model.engram.conv=true", "model.z_loss=0.01"};
  all.insert(all.end(), overrides.begin(), overrides.end());
  const Config config = load_config(std::string(folder ? folder : ".") + "/configs/test.yaml", all).config;
  const TempDir scratch;
  Proof proof(proof_config(config, {layout}).config, 2, scratch.path(), run_ranks);
  proof.record();
  return proof.prove(layout);
}

// A row of a table: the layout, the defect, and either the family's worst error with its bound and how many times the
// bound it is, or the failure of an exact comparison.
std::string row(const Case& c, const Verdict& verdict) {
  const std::string start = concat("| ", c.layout, " | ", c.defect, " | ");
  if (*c.family != 0) {
    const Worst& worst = verdict.worst.at(c.family);
    return concat(start, c.family, " | ", worst.error, " | ", worst.bound, " | ", worst.error / worst.bound, " |");
  }
  for (const std::string& failure : verdict.failures) {
    if (testing::Matches(MatchesRegex(c.failure))(failure)) return concat(start, "exact | ", failure, " | | |");
  }
  return concat(start, "not found | | | |");
}

TEST_P(SeededDefect, IsFoundInItsFamily) {
  const Case& c = GetParam();
  seeded = c.defect;
  const LayoutVerdict v = verdict(c.layout, c.overrides);
  seeded.clear();
  std::printf("%s\n", row(c, v.verdict).c_str());
  EXPECT_THAT(v.verdict.failures, Contains(MatchesRegex(c.failure))) << print(v);
  if (*c.family == 0) return;
  const Worst& worst = v.verdict.worst.at(c.family);
  EXPECT_GE(worst.error, 10 * worst.bound) << print(v);
}

// A balanced update changes a row of a table by less than a thousandth at the rate of this config. Rows of the step
// before are found at any rate, here at ten times the bound also in their own gradients.
constexpr const char* kFastRows = "optimizer.learning_rate=0.02";

// Under sanitizers a proof takes half a minute.
std::vector<Case> cases() {
  const std::vector<std::string> biased = {"model.attention.type=gqa", "model.attention.num_kv_heads=2",
                                           "model.attention.bias=true"};
  const std::vector<std::string> four_heads = {"model.attention.num_heads=4"};
  const std::vector<std::string> inner = {"model.moe.gate_position=inner"};
  // Each rank holds a group of two experts, so that both experts of a token may lie on one rank.
  const std::vector<std::string> groups = {"model.moe.num_groups=4", "model.moe.top_groups=2"};
  const std::vector<Case> all = {
      Case{"gradients not summed", "dp2", ".*attention latents, .*", "attention latents"},
      Case{"D8 targets of the rank", "dp2", ".*routed experts, .*", "routed experts"},
      Case{"D20 rows fetched before the update",
           "dp2",
           "second step without loading: Engram tables, .*",
           "Engram tables",
           {kFastRows}},
      Case{"D27 new values not sent to one holder", "dp3", ".*model\\..*: element .* on one rank and .* on rank 2.*",
           ""},
      Case{"a unit left unreduced", "dp2", ".*dense feed-forward, layers\\.0\\..*", "dense feed-forward"},
      Case{"new values not sent", "dp2", ".*model\\..*: element .* on one rank and .* on rank 1.*", ""},
      Case{"row gradients dropped", "dp2", ".*Engram tables, .*", "Engram tables"},
      Case{"norm of the rank", "dp3", ".*gradient norm, .*", "gradient norm"},
      Case{"loads of the rank", "dp2", ".*the loads of the experts differ.*", ""},
      Case{"losses of the rank", "dp3", ".*loss, of the next token.*", "loss"},
      Case{"D1 norm gains not summed over tp", "tp2", ".*block norms, .*", "block norms"},
      Case{"D2 hyper-connections not summed over tp", "tp2", ".*hyper-connections, .*", "hyper-connections"},
      Case{"D3 latent gradient of own heads", "tp2", ".*attention latents, .*", "attention latents"},
      Case{"D4 rotated key's gradient of own heads", "tp2", ".*kv_a\\.weight \\(rotated\\).*", "attention latents"},
      Case{"D5 latent gradient summed twice", "tp2", ".*attention latents, .*", "attention latents"},
      Case{"D6 row-parallel bias added by every rank", "tp2", ".*biases, .*", "biases", biased},
      Case{"D7 local lse in the z term", "tp2", ".*head, .*", "head"},
      Case{"D7 non-owners subtract", "tp2", ".*head, .*", "head"},
      Case{"D10 expert gradient times ep", "ep2", ".*routed experts, .*", "routed experts"},
      Case{"D10 expert gradient over dp instead of edp", "tp4.ep2", ".*routed experts, .*", "routed experts",
           four_heads},
      Case{"D11 gate gradient of one rank's inner width", "tp2.etp2", ".*routers, .*", "routers", inner},
      Case{"D11 gate gradient of one rank's inner width", "ep2.etp2.grouped", ".*routers, .*", "routers"},
      Case{"experts of one rank's inner width", "etp2", ".*loss, of the next token.*", "loss"},
      Case{"D23 norm counts what all hold tp times", "tp2.ep2", ".*gradient norm, .*", "gradient norm"},
      Case{"D23 norm misses experts", "tp2.ep2", ".*gradient norm, .*", "gradient norm"},
      Case{"D28 gate gradient from the summed row", "ep4.grouped", ".*routers, .*", "routers", groups},
      Case{"D28 a token sent twice to a group", "ep4.grouped", ".*routed experts, .*", "routed experts", groups},
      Case{"D9 targets of depth 0", "tp2", ".*loss, of MTP depth 1.*", "loss"},
      Case{"D9 shift after slicing", "tp2", ".*loss, of MTP depth 1.*", "loss"},
      Case{"D12 loads counted by every rank", "tp2", ".*the loads of the experts differ.*", ""},
      Case{"D12 padding counted", "tp2", ".*the loads of the experts differ.*", ""},
      Case{"D13 balance loss with the rank's own counts", "tp2", ".*routers, .*", "routers"},
      Case{"D15 look-back cut", "tp2", ".*Engram tables, .*", "Engram tables"},
      Case{"D15 halo cut", "tp2", ".*engram, .*", "engram"},
      Case{"D15 gradient of the halo dropped", "tp2", ".*engram, .*", "engram"},
      Case{"D20 padding touches a row", "tp2", ".*other rows were touched.*", ""},
      Case{"D22 Muon per shard", "tp2", ".*update, .*layers\\.0\\.ffn\\.up\\.weight.*", "", {"optimizer.type=muon"}},
      Case{"D30 gain of the rank's tokens", "tp2", ".*gain, forward.*", "gain", {"model.residual.type=hc"}},
      Case{"D30 evaluation counts padding", "tp2", ".*loss, of an evaluation.*", "loss"}};
#ifdef BIRKHOFF_SANITIZED
  return {all[3]};
#else
  return all;
#endif
}

INSTANTIATE_TEST_SUITE_P(Replicas, SeededDefect, testing::ValuesIn(cases()), [](const auto& info) {
  std::string name = concat(info.param.defect, " at ", info.param.layout);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});

// A state that a layout saves in the wrong places is not what one rank loads, or the writer refuses it.
TEST(SeededDefects, AreFoundInASavedState) {
  const ProofLayout layout = proof_layout(parse_layout("tp2.ep2"), 8);
  const char* folder = std::getenv("BIRKHOFF_SOURCE_DIR");
  const Config config =
      proof_config(
          load_config(std::string(folder ? folder : ".") + "/configs/test.yaml", {"model.vocab_size=61"}).config,
          {layout})
          .config;
  const auto saved = [&](const TempDir& scratch) {
    Whole state;
    run_ranks(layout.ranks, [&](Communicator& world) {
      ProofRank rank(world, config, layout.degrees);
      rank.set_values();
      rank.save(scratch.path());
    });
    run_ranks(1, [&](Communicator& world) {
      ProofRank rank(world, config, {});
      rank.load(scratch.path());
      state = rank.state();
    });
    return state;
  };
  const TempDir right, wrong, refused;
  const Whole expected = saved(right);
  seeded = "D24 row-parallel shard as a flat range";
  const Whole actual = saved(wrong);
  seeded = "D24 moments of experts by local number";
  EXPECT_ANY_THROW(saved(refused));
  seeded.clear();
  EXPECT_THAT(bitwise_differences(expected, actual), testing::Each(testing::HasSubstr("attention.out.weight")));
  EXPECT_THAT(bitwise_differences(expected, actual), testing::Not(IsEmpty()));
}

TEST(SeededDefects, AreOffUnlessATestSwitchesThemOn) {
#ifdef BIRKHOFF_SANITIZED
  const std::vector<std::string> layouts = {"tp2.ep2.etp2"};
#else
  const std::vector<std::string> layouts = {"dp2", "tp2", "tp2.ep2.etp2", "ep2.grouped"};
#endif
  for (const std::string& layout : layouts) {
    const LayoutVerdict v = verdict(layout);
    EXPECT_THAT(v.verdict.failures, IsEmpty()) << print(v);
  }
}

}  // namespace
}  // namespace test
}  // namespace birkhoff

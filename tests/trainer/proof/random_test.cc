// Proves random pairs of a model and a layout. BIRKHOFF_PROOF_SEED and BIRKHOFF_PROOF_PAIRS choose which and how many;
// a failure prints the seed, the model and the layout.
#include <cstdlib>

#include <gmock/gmock.h>

#include "kernels/core/philox.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/temp_dir.h"
#include "trainer/config/reader.h"
#include "trainer/proof/proof_config.h"
#include "trainer/proof/verify.h"

namespace birkhoff::test {
namespace {

#ifdef BIRKHOFF_SANITIZED
constexpr int64_t kPairs = 1;  // sanitizers make a proof slow, and look for faults that hardly depend on the model
#else
constexpr int64_t kPairs = 30;
#endif

int64_t number_from(const char* variable, int64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::atoll(text) : otherwise;
}

using Settings = std::vector<std::string>;

// Draws the settings of one pair over configs/test.yaml.
class Drawer {
 public:
  Drawer(uint64_t seed, uint64_t pair) : random_(seed, pair) {}

  Settings model() {
    Settings s = {"model.vocab_size=61", "batch.sequence_length=19"};
    s.push_back("model.residual.type=" + one_of({"plain", "hc", "mhc", "mhc_single_pass"}));
    add(s, {{},
            {"model.attention.q_lora_rank=12"},
            {"model.attention.type=gqa", "model.attention.num_kv_heads=2", "model.attention.bias=true"}});
    add(s, {{}, {"model.moe.num_groups=4", "model.moe.top_groups=2"}, {"model.moe.num_shared=0"}});
    s.push_back("model.moe.gate_position=" + one_of({"output", "inner"}));
    s.push_back("model.moe.score_function=" + one_of({"sigmoid", "sqrt_softplus", "softmax"}));
    s.push_back("model.moe.sequence_balance_loss=" + one_of({"0", "0.1"}));
    add(s, {{}, {"model.engram.conv=true"}, {"model.engram.layers=[0,1]"}, {"model.engram.gate.root=false"}});
    s.push_back("model.mtp.depth=" + one_of({"0", "1", "2"}));
    s.push_back("model.norm=" + one_of({"rmsnorm", "layernorm"}));
    s.push_back("model.tie_embeddings=" + one_of({"false", "true"}));
    s.push_back("model.z_loss=" + one_of({"0", "0.001"}));
    s.push_back("model.recompute=" + one_of({"none", "block"}));
    s.push_back("optimizer.type=" + one_of({"adamw", "muon"}));
    s.push_back("optimizer.engram.update=" + one_of({"balanced", "sparse_adamw"}));
    return s;
  }
  // Of the layouts that the config allows.
  ProofLayout layout(const Config& config) {
    std::vector<ProofLayout> allowed;
    for (const char* name : {"dp2", "dp3", "dp4", "tp2", "tp2.dp2", "tp2.dp3", "ep2", "ep4.grouped", "etp2", "tp2.ep2",
                             "tp2.dp2.ep2.etp2", "tp2.dp3.ep2.grouped"}) {
      const ProofLayout candidate = proof_layout(parse_layout(name), 6);
      if (problems_of_layout(config, candidate.degrees, std::nullopt).empty()) allowed.push_back(candidate);
    }
    return allowed[below(allowed.size())];
  }

 private:
  size_t below(uint64_t bound) { return random_.below(draws_++, bound); }
  std::string one_of(const std::vector<std::string>& values) { return values[below(values.size())]; }
  void add(Settings& to, const std::vector<Settings>& choices) {
    const Settings& chosen = choices[below(choices.size())];
    to.insert(to.end(), chosen.begin(), chosen.end());
  }

  Philox random_;
  uint64_t draws_ = 0;
};

TEST(RandomPairs, ComputeWhatOneRankComputes) {
  const auto seed = static_cast<uint64_t>(number_from("BIRKHOFF_PROOF_SEED", 1));
  const int64_t pairs = number_from("BIRKHOFF_PROOF_PAIRS", kPairs);
  const char* folder = std::getenv("BIRKHOFF_SOURCE_DIR");
  std::printf("BIRKHOFF_PROOF_SEED=%llu, %lld pairs\n", static_cast<unsigned long long>(seed),
              static_cast<long long>(pairs));
  for (int64_t pair = 0; pair < pairs; ++pair) {
    Drawer draw(seed, static_cast<uint64_t>(pair));
    const Settings settings = draw.model();
    const Config config = load_config(std::string(folder ? folder : ".") + "/configs/test.yaml", settings).config;
    const ProofLayout layout = draw.layout(config);
    std::string text;
    for (const std::string& setting : settings) text += " --set " + setting;
    SCOPED_TRACE(concat("seed ", seed, ", pair ", pair, ": --layouts ", layout.name(), text));
    const TempDir scratch;
    Proof proof(proof_config(config, {layout}).config, 2, scratch.path(), run_ranks);
    proof.record();
    EXPECT_THAT(proof.vanished(), testing::IsEmpty());
    const LayoutVerdict v = proof.prove(layout);
    EXPECT_THAT(v.verdict.failures, testing::IsEmpty()) << print(v);
  }
}

}  // namespace
}  // namespace birkhoff::test

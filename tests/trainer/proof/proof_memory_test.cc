#include "trainer/proof/proof_memory.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "kernels/core/process_memory.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/temp_dir.h"
#include "trainer/config/reader.h"
#include "trainer/proof/proof_config.h"
#include "trainer/proof/verify.h"

namespace birkhoff::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

std::string file(const std::string& name) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  return std::string(source ? source : ".") + "/configs/" + name;
}

const std::vector<ProofLayout>& layouts() {
  static const std::vector<ProofLayout> both = {proof_layout({.dp = 2}, 8), proof_layout({.dp = 8}, 8)};
  return both;
}

Config load(const std::string& name, const std::vector<std::string>& settings = {}) {
  return proof_config(load_config(file(name), settings).config, layouts()).config;
}

TEST(ProofMemory, IsEnoughForWhatAProofTakes) {
#ifdef BIRKHOFF_SANITIZED
  GTEST_SKIP() << "a sanitizer takes memory of its own";
#endif
  const std::vector<ProofLayout> two = {proof_layout({.dp = 2}, 8)};
  Config config =
      proof_config(load_config(file("quickstart.yaml"), {"model.hidden_size=96", "model.num_layers=3",
                                                         "model.engram.rows_per_head=2000", "batch.sequence_length=16"})
                       .config,
                   two)
          .config;
  config.batch.global_batch_size = 2;
  const int64_t planned = proof_memory(config, two, 1, 8).total();
  if (!reset_resident_peak()) GTEST_SKIP() << "the kernel does not measure a peak";
  const int64_t before = process_memory().resident.value();
  const TempDir scratch;
  Proof proof(config, 1, scratch.path(), run_ranks);
  proof.record();
  EXPECT_THAT(proof.prove(two[0]).verdict.failures, IsEmpty());
  const int64_t taken = process_memory().peak_resident.value() - before;
  EXPECT_LE(taken, planned);
  EXPECT_GE(3 * taken, planned) << "a plan far above what is taken refuses configs that fit";
}

TEST(ProofMemory, IsThatOfTheLayoutThatTakesMost) {
  const Config config = load("test.yaml");
  EXPECT_EQ(proof_memory(config, layouts(), 2, 8).layout.name(), "dp8");
  EXPECT_LT(proof_memory(config, layouts(), 2, 1).total(), proof_memory(config, layouts(), 2, 8).total())
      << "other ranks are on other hosts";
  EXPECT_LT(proof_memory(config, layouts(), 1, 8).total(), proof_memory(config, layouts(), 2, 8).total());
}

struct Case {
  const char* config;
  std::vector<std::string> settings;
};

TEST(SmallerSettings, MakeAConfigFitAndKeepItsFeaturesAndDivisors) {
  constexpr int64_t kRoom = int64_t{4} << 30;
  const auto fits = [](const Config& c) { return proof_memory(c, layouts(), 3, 8).total() <= kRoom; };
  const Case wide{"verify.yaml",
                  {"model.vocab_size=129281", "batch.sequence_length=4097", "model.hidden_size=1024",
                   "model.attention.q_lora_rank=768", "model.moe.expert_size=4096"}};
#ifdef BIRKHOFF_SANITIZED
  const std::vector<Case> cases = {wide};  // each plans many models, which takes long under sanitizers
#else
  const std::vector<Case> cases = {wide, Case{"deepseek_v3.yaml", {}}, Case{"engram_v41.yaml", {}},
                                   Case{"bench/mhc_2560.yaml", {}},
                                   Case{"bench/gpt_14m.yaml", {"model.hidden_size=3072"}}};
#endif
  for (const Case& c : cases) {
    const auto with = [&](const std::vector<std::string>& further) {
      std::vector<std::string> all = c.settings;
      all.insert(all.end(), further.begin(), further.end());
      return load(c.config, all);
    };
    const Config before = with({});
    ASSERT_FALSE(fits(before)) << c.config;
    const std::vector<std::string> settings = smaller_settings(with, fits);
    ASSERT_FALSE(settings.empty()) << c.config;
    const Config after = with(settings);
    EXPECT_TRUE(fits(after)) << c.config;

    const DecoderOptions &a = after.model, &b = before.model;
    EXPECT_EQ(a.attention.type, b.attention.type);
    EXPECT_EQ(a.attention.q_lora_rank > 0, b.attention.q_lora_rank > 0);
    EXPECT_EQ(a.residual, b.residual);
    EXPECT_EQ(a.engram.layers.size(), b.engram.layers.size());
    EXPECT_EQ(a.engram.orders, b.engram.orders);
    EXPECT_EQ(a.mtp, b.mtp);
    EXPECT_EQ(a.moe.num_groups, b.moe.num_groups);
    EXPECT_EQ(a.moe.num_shared, b.moe.num_shared);
    EXPECT_EQ(a.moe.top_k, b.moe.top_k);
    EXPECT_EQ(a.has_experts(), b.has_experts());
    EXPECT_EQ(a.moe.num_experts > 0 && a.moe.at(0), b.moe.num_experts > 0 && b.moe.at(0)) << "a dense block stays";
    for (const int64_t divisor : {2, 4, 8}) {
      const auto divides = [&](int64_t of_before, int64_t of_after) {
        EXPECT_EQ(of_before % divisor == 0, of_after % divisor == 0)
            << c.config << ": " << of_before << ", " << of_after;
      };
      divides(b.attention.num_heads, a.attention.num_heads);
      divides(b.hidden_size, a.hidden_size);
      divides(b.ffn.size, a.ffn.size);
      divides(b.moe.num_experts, a.moe.num_experts);
      divides(b.moe.expert_size, a.moe.expert_size);
    }
    EXPECT_EQ(a.vocab_size % 2, b.vocab_size % 2);
    EXPECT_EQ(after.batch.sequence_length % 2, before.batch.sequence_length % 2);
  }
}

TEST(SmallerSettings, AreNoneIfNothingHelps) {
  const auto with = [&](const std::vector<std::string>& settings) { return load("test.yaml", settings); };
  EXPECT_THAT(smaller_settings(with, [](const Config&) { return false; }), IsEmpty());
}

TEST(ProofMemory, IsPrintedWithTheSettingsThatHelp) {
  const ProofMemory m{proof_layout({.dp = 2}, 2), {{"steps", int64_t{3} << 20}, {"ranks", int64_t{1} << 20}}};
  MemoryRoom room{int64_t{4} << 20, "available on this host"};
  EXPECT_TRUE(m.fits(room));
  room.of_host -= 1;
  EXPECT_FALSE(m.fits(room));
  EXPECT_THAT(print_too_large(m, room, {"a.b=1", "c=2"}),
              AllOf(HasSubstr("the proof of dp2 needs 4.0 MiB, but 4.0 are available on this host\n"),
                    HasSubstr("\n  --set a.b=1 --set c=2")));
  EXPECT_THAT(print_too_large(m, room, {}), HasSubstr("fewer ranks"));
  room = {int64_t{4} << 20, "available on this host", int64_t{1} << 20};
  EXPECT_FALSE(m.fits(room));
  EXPECT_THAT(print_too_large(m, room, {}), HasSubstr(" and 1.0 left to a process by ulimit -v\n"));
}

}  // namespace
}  // namespace birkhoff::test

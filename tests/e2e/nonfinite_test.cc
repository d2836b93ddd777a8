// Overwrites values of a checkpoint to imitate a run that diverged, and checks what the next run names and counts, and
// how it ends.
#include <algorithm>
#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "kernels/core/hash.h"
#include "tests/e2e/training.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

struct Spoilt {
  std::string tensor;
  int64_t begin, count;
  float value;
  std::string named;     // what the step or the save must name
  std::string loaded{};  // what the resume must name
  int ranks = 2;
  const char* layout = "";  // settings
};
void PrintTo(const Spoilt& spoilt, std::ostream* out) { *out << spoilt.named; }

// Overwrites f32 elements of a tensor with a value, and updates the checksums so that the checkpoint is valid again.
void overwrite(const fs::path& checkpoint, const Spoilt& s) {
  Manifest manifest = open_checkpoint(checkpoint);
  Manifest::Entry& entry = manifest.tensors.at(s.tensor);
  for (Manifest::Part& part : entry.parts) {
    std::string bytes = read_file(checkpoint / part.file);
    const auto offset = static_cast<size_t>(part.offset);
    const Slice slice{entry.shape, part.boxes};
    slice.for_each_run([&](int64_t first, int64_t local, int64_t count) {
      for (int64_t i = std::max(s.begin, first); i < std::min(s.begin + s.count, first + count); ++i) {
        std::memcpy(&bytes[offset + sizeof(float) * static_cast<size_t>(local + i - first)], &s.value, sizeof(float));
      }
    });
    part.xxh3 = hex16(hash64(bytes.data() + offset, sizeof(float) * static_cast<size_t>(part.count())));
    write_file(checkpoint / part.file, bytes);
  }
  write_file(checkpoint / kManifestName, to_text(manifest));
}

class NonFinite : public testing::TestWithParam<Spoilt> {
 protected:
  // The directory of a run of 4 steps, trained once for all tests.
  static const fs::path& trained() {
    static const TempDir dir;
    static const fs::path run = dir / "run";
    static const bool done = Training::shared().train(2, run, "--set run.steps=4").exit_code == 0;
    EXPECT_TRUE(done);
    return run;
  }
};

TEST_P(NonFinite, IsNamedCountedAndEndsTheRunWithCode5) {
  const Spoilt& s = GetParam();
  const TempDir dir;
  fs::copy(trained(), dir / "run", fs::copy_options::recursive);
  const fs::path checkpoint = dir / "run" / "checkpoints" / checkpoint_name(4);
  overwrite(checkpoint, s);
  const ProgramResult run = Training::shared().train(
      s.ranks, dir / "run",
      std::string("--set run.steps=400 --set optimizer.max_nonfinite_steps=3 --set checkpoint.interval=1 "
                  "--set checkpoint.keep=1 --set metrics.jsonl=after.jsonl") +
          s.layout);
  EXPECT_EQ(run.exit_code, 5) << run.output;
  for (int step : {5, 6, 7}) {
    EXPECT_THAT(run.output,
                HasSubstr("step " + std::to_string(step) + ": " + s.named + " is not finite; the step was skipped"));
  }
  EXPECT_THAT(run.output, HasSubstr("stopped after 3 steps in a row that were skipped; last: " + s.named +
                                    " is not finite. Resume from an older checkpoint"));
  EXPECT_THAT(run.output, Not(HasSubstr("step 8:")));
  std::istringstream lines(read_file(dir / "run" / "after.jsonl"));
  int64_t skipped = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    ASSERT_EQ(json.at("event"), "step");
    EXPECT_EQ(json.at("skipped_steps_total.nonfinite"), ++skipped);
    EXPECT_EQ(json.at("skipped_steps_total.spike"), 0);
  }
  EXPECT_EQ(skipped, 3);
  EXPECT_THAT(list_checkpoints(dir / "run" / "checkpoints"), testing::ElementsAre(4)) << "nothing pushed it out";
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

// In layer 1 an expert's up-projection is [64, 32] and its down-projection [32, 32]; the router is [8, 32].
INSTANTIATE_TEST_SUITE_P(Cases, NonFinite,
                         testing::Values(Spoilt{"model.layers.1.ffn.experts.up", 5 * 64 * 32 + 3, 1, kNan,
                                                "the value of layers.1.ffn.experts.up, expert 5 on every rank"},
                                         Spoilt{"model.layers.1.ffn.gate.bias", 2, 1, kNan,
                                                "the value of layers.1.ffn.gate.bias on every rank"},
                                         Spoilt{"model.layers.0.attention.kv_a.weight", 7, 1, kInf,
                                                "the value of layers.0.attention.kv_a.weight on every rank"},
                                         // Ranks 1 and 3 of tp2.dp2 hold the second half of the columns.
                                         Spoilt{"model.layers.0.ffn.down.weight", 40, 1, kNan,
                                                "the value of layers.0.ffn.down.weight on rank 1 (tp 1, dp 0)", "", 4,
                                                " --set parallel.tp=2"},
                                         // A table row that is not finite shows only when a step looks it up.
                                         Spoilt{"model.layers.1.engram.table", 8 * 3, 8 * 500, kInf,
                                                "the value of layers.1.engram.table, row 3 on rank 0 (dp 0)"},
                                         Spoilt{"model.layers.0.ffn.up.weight", 3, 1, 3e38f,
                                                "the output of layers.0.ffn, microbatch 1, on every rank"}));

// A value that affects neither loss nor gradients is found by the next save, which then publishes nothing.
using Unseen = NonFinite;
TEST_P(Unseen, IsFoundByTheNextSaveAndEndsTheRunWithCode5) {
  const Spoilt& s = GetParam();
  const TempDir dir;
  fs::copy(trained(), dir / "run", fs::copy_options::recursive);
  overwrite(dir / "run" / "checkpoints" / checkpoint_name(4), s);
  for (const char* interval : {"2", "0"}) {
    const ProgramResult run = Training::shared().train(
        2, dir / "run", std::string("--set run.steps=8 --set eval.interval=0 --set checkpoint.interval=") + interval);
    EXPECT_EQ(run.exit_code, 5) << run.output;
    EXPECT_THAT(run.output, testing::ContainsRegex("warning: [^ ]*step-00000004 holds a state that is not finite: " +
                                                   s.loaded + ". No state"));
    EXPECT_THAT(run.output, testing::ContainsRegex("stopped after step [6-8]: the state is not finite: " + s.named +
                                                   ". Nothing of it was saved; what [^ ]*step-00000004 holds was "
                                                   "not finite either. Resume from an older checkpoint with"));
    EXPECT_THAT(list_checkpoints(dir / "run" / "checkpoints"), testing::ElementsAre(4));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Saves, Unseen,
    testing::Values(Spoilt{"model.layers.0.attention.base", 1, 1, -kInf,
                           "model.layers.0.attention.base, element \\[1\\], is -inf",
                           "model.layers.0.attention.base, element \\[1\\], is -inf"},
                    Spoilt{"balanced.momentum.layers.1.engram.table", 8 * 700 + 3, 1, kInf,
                           "balanced.momentum.layers.1.engram.table, element \\[[0-9]+, [0-7]\\], is -?(inf|nan)",
                           "balanced.momentum.layers.1.engram.table, element \\[700, 3\\], is inf"},
                    // The row of a token that does not occur in the data.
                    Spoilt{"model.layers.1.engram.table", 8 * 3 + 1, 1, kNan,
                           "model.layers.1.engram.table, element \\[3, 1\\], is nan",
                           "model.layers.1.engram.table, element \\[3, 1\\], is nan"}));

TEST(Evaluation, WhoseLossIsNotFiniteEndsWithCode5) {
  const TempDir dir;
  ASSERT_EQ(Training::shared().train(1, dir / "run", "--set run.steps=1").exit_code, 0);
  overwrite(dir / "run" / "checkpoints" / checkpoint_name(1), {"model.head.weight", 3, 1, -kNan, ""});
  std::string command = Training::shared().command(2, dir / "run", "--set eval.sequences=0");
  const size_t at = command.find(" train ");
  ASSERT_NE(at, std::string::npos);
  const ProgramResult eval = run_program(command.replace(at, 7, " eval "));
  EXPECT_EQ(eval.exit_code, 5) << eval.output;
  EXPECT_THAT(eval.output,
              testing::AllOf(HasSubstr("| loss: nan nats/token"), testing::ContainsRegex("bytes: [0-9]+\n"),
                             HasSubstr("step-00000001 is not finite; evaluate an older checkpoint")));
  EXPECT_THAT(read_file(dir / "run" / "eval.jsonl"), HasSubstr("\"loss\":null"));
}

}  // namespace
}  // namespace birkhoff::test

// A resumed run continues as if it had never stopped: bitwise on the same number of ranks, within a bound on another.
#include <cmath>
#include <sstream>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "tests/e2e/training.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Copies only the checkpoint of step 4 of a run of 8 steps, so that a run in `to` resumes from there.
void forget_after_four(const fs::path& from, const fs::path& to) {
  fs::create_directories(to / "checkpoints");
  fs::copy(from / "checkpoints" / checkpoint_name(4), to / "checkpoints" / checkpoint_name(4),
           fs::copy_options::recursive);
}

class Resume : public testing::TestWithParam<std::pair<int, std::string>> {};

TEST_P(Resume, IsBitwiseEqualToAnUninterruptedRun) {
  const auto [ranks, arguments] = GetParam();
  const TempDir dir;
  const ProgramResult straight = Training::shared().train(ranks, dir / "straight", arguments);
  ASSERT_EQ(straight.exit_code, 0) << straight.output;
  ASSERT_TRUE(fs::exists(dir / "straight" / "checkpoints" / checkpoint_name(4))) << straight.output;
  forget_after_four(dir / "straight", dir / "resumed");
  const ProgramResult resumed = Training::shared().train(ranks, dir / "resumed", arguments);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.output;
  EXPECT_THAT(resumed.output, HasSubstr("step-00000004, step 4"));
  const auto all = losses(straight.output), second_half = losses(resumed.output);
  ASSERT_EQ(all.size(), 8u) << straight.output;
  EXPECT_EQ(second_half, std::vector<double>(all.begin() + 4, all.end()));
  EXPECT_THAT(differences(manifest_of(dir / "straight", 8), manifest_of(dir / "resumed", 8)), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Settings, Resume,
    testing::Values(std::pair{1, std::string()}, std::pair{2, std::string()},
                    std::pair{2, std::string("--set optimizer.type=muon --set precision.moments=bf16")},
                    std::pair{2, std::string("--set optimizer.engram.update=sparse_adamw --set precision.recipe=f32")},
                    // Step 4 lies within the batch ramp, the short sequences and the spike detector's window, and the
                    // resumed run passes their ends.
                    std::pair{2, std::string("--set batch.ramp.initial_size=4 --set batch.ramp.increment=4 "
                                             "--set batch.ramp.steps=6 --set optimizer.spike.z_score=0.5 "
                                             "--set optimizer.spike.window=2 "
                                             "--set 'batch.length_schedule=[{until_step: 5, sequence_length: 16}]'")},
                    std::pair{1, std::string("--set model.residual.type=mhc_single_pass --set model.norm_eps=1e-20 "
                                             "--set precision.recipe=fp8_block --set checkpoint.async=false")}));

TEST(Resume, OfAResumeIsBitwiseEqual) {
  const TempDir dir;
  const std::string often = "--set checkpoint.interval=2 --set checkpoint.keep=9";
  ASSERT_EQ(Training::shared().train(1, dir / "straight", often).exit_code, 0);
  for (int steps : {2, 4, 8}) {
    const ProgramResult part =
        Training::shared().train(1, dir / "parts", often + " --set run.steps=" + std::to_string(steps));
    ASSERT_EQ(part.exit_code, 0) << part.output;
  }
  EXPECT_THAT(differences(manifest_of(dir / "straight", 8), manifest_of(dir / "parts", 8)), IsEmpty());
}

// The lines that are not indented.
std::vector<std::string> unindented_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("  ")) lines.push_back(line);
  }
  return lines;
}

// Loads on another number of ranks and saves again before any step. Other ranks then own the parts of the state, but
// the state must be the same.
class Reshard : public testing::TestWithParam<std::string> {};

TEST_P(Reshard, OnOtherNumbersOfRanksKeepsEveryBitOfTheState) {
  const TempDir dir;
  const std::string arguments = GetParam() + " --set run.steps=2 --set checkpoint.interval=0";
  const ProgramResult two = Training::shared().train(2, dir / "two", arguments);
  ASSERT_EQ(two.exit_code, 0) << two.output;
  const fs::path saved = dir / "two" / "checkpoints" / checkpoint_name(2);
  for (int ranks : {1, 3}) {
    const fs::path run = dir / std::to_string(ranks);
    const ProgramResult again = Training::shared().train(ranks, run, arguments + " --resume " + saved.string());
    ASSERT_EQ(again.exit_code, 0) << again.output;
    EXPECT_THAT(again.output, HasSubstr("from step 2 to 2"));
    const fs::path written = run / "checkpoints" / checkpoint_name(2);
    const ProgramResult diff =
        run_program(std::string(BIRKHOFF_PROGRAM) + " checkpoint diff " + saved.string() + " " + written.string());
    EXPECT_EQ(diff.exit_code, 0) << diff.output;
    EXPECT_EQ(unindented_lines(diff.output), std::vector<std::string>{"config.yaml differs:"}) << diff.output;
  }
}

INSTANTIATE_TEST_SUITE_P(Settings, Reshard,
                         testing::Values("--set optimizer.type=adamw --set optimizer.engram.update=sparse_adamw",
                                         "--set optimizer.type=muon --set optimizer.engram.granularity=head",
                                         "--set optimizer.type=muon --set precision.moments=bf16"));

// The order of sums over the replicas depends on the number of ranks, so losses agree only to a few f32 roundings.
TEST(Resume, OnOtherNumbersOfRanksGoesOnWithTheSameStateAndLosses) {
  const TempDir dir;
  const std::string f32 = "--set precision.recipe=f32";
  const ProgramResult two = Training::shared().train(2, dir / "two", f32);
  ASSERT_EQ(two.exit_code, 0) << two.output;
  const auto expected = losses(two.output);
  for (int ranks : {1, 3}) {
    const fs::path resized = dir / std::to_string(ranks);
    forget_after_four(dir / "two", resized);
    const ProgramResult run = Training::shared().train(ranks, resized, f32);
    ASSERT_EQ(run.exit_code, 0) << run.output;
    const auto got = losses(run.output);
    ASSERT_EQ(got.size(), 4u) << run.output;
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(got[i], expected[4 + i], 1e-4 * expected[4 + i]) << ranks << " ranks";
  }
}

TEST(Resume, RefusesWhatCannotChangeAndPrintsWhatDid) {
  const TempDir dir;
  ASSERT_EQ(Training::shared().train(1, dir / "run", "--set run.steps=1").exit_code, 0);
  const ProgramResult refused =
      Training::shared().train(1, dir / "run", "--set model.hidden_size=64 --set data.seed=5");
  EXPECT_EQ(refused.exit_code, 2) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("model.hidden_size"));
  EXPECT_THAT(refused.output, HasSubstr("data.seed"));
  const ProgramResult allowed = Training::shared().train(1, dir / "run", "--set run.steps=2 --set metrics.jsonl=other");
  EXPECT_EQ(allowed.exit_code, 0) << allowed.output;
  EXPECT_THAT(allowed.output, HasSubstr("run.steps: 1 -> 2"));
}

TEST(Resume, WalksBackToTheNewestValidCheckpointAndSaysSo) {
  const TempDir dir;
  ASSERT_EQ(Training::shared().train(1, dir / "run").exit_code, 0);
  const fs::path newest = dir / "run" / "checkpoints" / checkpoint_name(8);
  const Manifest manifest = open_checkpoint(newest);
  const Manifest::Part part = manifest.tensors.at("model.embedding.weight").parts[0];
  std::string bytes = read_file(newest / part.file);
  bytes[static_cast<size_t>(part.offset) + 5] ^= 1;
  write_file(newest / part.file, bytes);
  const ProgramResult run = Training::shared().train(1, dir / "run");
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr("passed over: "));
  EXPECT_THAT(run.output, HasSubstr("model.embedding.weight"));
  EXPECT_THAT(run.output, HasSubstr("step-00000004, step 4"));
  write_file(dir / "run" / "checkpoints" / checkpoint_name(4) / kManifestName, "{");
  write_file(dir / "run" / "checkpoints" / checkpoint_name(8) / kManifestName, "");
  EXPECT_EQ(Training::shared().train(1, dir / "run").exit_code, 6);
}

// All numbers of ranks evaluate the same sequences in the same microbatches, so only the last digits of the sum may
// differ.
TEST(Evaluation, OfACheckpointEqualsThatOfTheRunOnAnyNumberOfRanks) {
  const TempDir dir;
  const std::string part = "--set eval.sequences=13 --set model.max_positions=99";
  const ProgramResult run = Training::shared().train(2, dir / "run", part);
  ASSERT_EQ(run.exit_code, 0) << run.output;
  const size_t at = run.output.find("eval step: 8/8 | loss: ");
  ASSERT_NE(at, std::string::npos) << run.output;
  const double loss = std::stod(run.output.substr(at + 23));
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  for (int ranks : {1, 2, 3}) {
    const ProgramResult eval =
        run_program(mpirun(ranks) + BIRKHOFF_PROGRAM + " eval " + (source ? source : ".") + "/configs/test.yaml" +
                    Training::shared().data_arguments() + " --set run.dir=" + (dir / "run").string() + " " + part);
    ASSERT_EQ(eval.exit_code, 0) << eval.output;
    const std::string warning = "warning: --set: model.max_positions has no effect";
    EXPECT_THAT(eval.output, AllOf(HasSubstr(warning), Not(ContainsRegex(warning + "(.|\n)*" + warning)))) << ranks;
    const size_t found = eval.output.find("loss: ");
    ASSERT_NE(found, std::string::npos) << eval.output;
    // The run prints six digits.
    EXPECT_NEAR(std::stod(eval.output.substr(found + 6)), loss, 2e-5) << ranks;
    // Each evaluation adds one line, written by one rank, with the digits of the output.
    const std::string log = read_file(dir / "run" / "eval.jsonl");
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), ranks);
    const std::string printed = eval.output.substr(found + 6, eval.output.find(' ', found + 6) - found - 6);
    EXPECT_GT(printed.size(), 14u);
    EXPECT_THAT(log, HasSubstr("\"loss\":" + printed + ","));
  }
  fs::remove(dir / "run" / "eval.jsonl");
  fs::create_directory(dir / "run" / "eval.jsonl");
  for (const char* checkpoint : {"", "/checkpoints"}) {
    const std::string named = (dir / "run").string() + checkpoint;
    const ProgramResult eval = run_program(std::string(BIRKHOFF_PROGRAM) + " eval " + (source ? source : ".") +
                                           "/configs/test.yaml" + Training::shared().data_arguments() +
                                           " --set run.dir=" + (dir / "run").string() + " --checkpoint " + named);
    EXPECT_EQ(eval.exit_code, 2) << eval.output;
    const std::string advice = named + " holds checkpoints, expected one of them; name it, such as " +
                               (dir / "run/checkpoints").string() + "/step-00000008";
    EXPECT_THAT(eval.output, HasSubstr(advice));
    const ProgramResult resumed = Training::shared().train(2, dir / "other", " --resume " + named);
    EXPECT_EQ(resumed.exit_code, 2) << resumed.output;
    EXPECT_THAT(resumed.output, HasSubstr("checkpoint.resume (--resume): " + advice));
  }
  {
    const ProgramResult eval =
        run_program(std::string(BIRKHOFF_PROGRAM) + " eval " + (source ? source : ".") + "/configs/test.yaml" +
                    Training::shared().data_arguments() + " --set run.dir=" + (dir / "run").string() +
                    " --checkpoint " + (dir / "typo").string());
    EXPECT_EQ(eval.exit_code, 6) << eval.output;
    EXPECT_THAT(eval.output, HasSubstr("--checkpoint: " + (dir / "typo").string() +
                                       ": no such checkpoint; expected the folder of a checkpoint"));
    const ProgramResult unrecorded =
        run_program(std::string(BIRKHOFF_PROGRAM) + " eval " + (source ? source : ".") + "/configs/test.yaml" +
                    Training::shared().data_arguments() + " --set run.dir=" + (dir / "run").string() + " " + part);
    EXPECT_EQ(unrecorded.exit_code, 0) << unrecorded.output;
    EXPECT_THAT(unrecorded.output, HasSubstr("eval.jsonl: Is a directory; the evaluation is not recorded"));
  }
}

TEST(Mixture, ChangesOnAResumeOnlyWhereItIsAskedForAndFollowsAMovedFolder) {
  const TempDir dir;
  const auto sources = [&](const std::string& path, const std::string& rest) {
    return " --set 'data.sources=[{path: " + path + rest + "}]' ";
  };
  const std::string old = Training::shared().data().string(), moved = (dir / "elsewhere").string();
  fs::copy(old, moved, fs::copy_options::recursive);
  const std::string name = ", name: english";
  const ProgramResult straight = Training::shared().train(1, dir / "straight", sources(old, name));
  ASSERT_EQ(straight.exit_code, 0) << straight.output;
  forget_after_four(dir / "straight", dir / "moved");
  const ProgramResult resumed = Training::shared().train(1, dir / "moved", sources(moved, name));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.output;
  const auto all = losses(straight.output);
  EXPECT_EQ(losses(resumed.output), std::vector<double>(all.begin() + 4, all.end()));

  forget_after_four(dir / "straight", dir / "renamed");
  const ProgramResult renamed = Training::shared().train(1, dir / "renamed", sources(moved, ", name: other"));
  EXPECT_EQ(renamed.exit_code, 2) << renamed.output;
  EXPECT_THAT(renamed.output, HasSubstr("give a source whose folder moved its old name (data.sources[].name), or set "
                                        "data.mixture_change to restart"));
  const std::string other = sources(old, name + ", weight: 2") + "--set data.seed=9 ";
  const ProgramResult refused = Training::shared().train(1, dir / "renamed", other);
  EXPECT_EQ(refused.exit_code, 2) << refused.output;
  const ProgramResult restarted =
      Training::shared().train(1, dir / "renamed", other + "--set data.mixture_change=restart");
  EXPECT_EQ(restarted.exit_code, 0) << restarted.output;
  EXPECT_THAT(restarted.output, HasSubstr("data.seed: 1 -> 9 (the mixture begins anew here)"));
  EXPECT_NE(losses(restarted.output), losses(resumed.output));
}

}  // namespace
}  // namespace birkhoff::test

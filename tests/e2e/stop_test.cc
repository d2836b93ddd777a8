// How a run ends: on request, by its time budget, because a peer is lost, or because another run holds the directory.
#include <csignal>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "data/hdf5/file.h"
#include "tests/e2e/training.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff::test {
namespace {

using testing::HasSubstr;

constexpr const char* kLong = "--set run.steps=100000 --set checkpoint.interval=0 --set eval.interval=0";

// The processes of the program that train into a directory, without mpirun and shells around them.
std::vector<int> ranks_of(const std::filesystem::path& dir) {
  std::vector<int> pids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const bool program = read_file(entry.path() / "comm") == "birkhoff\n";
    const std::string arguments = program ? read_file(entry.path() / "cmdline") : "";
    if (arguments.find("run.dir=" + dir.string()) != std::string::npos) pids.push_back(std::stoi(name));
  }
  return pids;
}

// A table so large that filling it takes a while.
constexpr const char* kLongStartUp = " --set model.engram.rows_per_head=300000";

enum class Whom { one_rank, all_ranks };
enum class When { training, twice, saving, evaluating, before_step_1 };

struct SignalCase {
  std::string name;
  int ranks, number;
  Whom whom;
  When when;
  const char* layout = "";  // settings
};
constexpr const char* kTp2 = " --set parallel.tp=2";

class Signals : public testing::TestWithParam<SignalCase> {
 protected:
  void send(Background& run) {
    const SignalCase& c = GetParam();
    if (c.ranks == 1) return run.signal(c.number);
    const std::vector<int> pids = ranks_of(dir_ / "run");
    ASSERT_EQ(pids.size(), static_cast<size_t>(c.ranks));
    for (const int pid : pids) {
      if (c.whom == Whom::all_ranks || pid == pids[1]) kill(pid, c.number);
    }
  }
  static std::string arguments() {
    const When when = GetParam().when;
    std::string settings =
        "--set run.steps=100000 --set checkpoint.interval=" + std::string(when == When::saving ? "1" : "0");
    if (when == When::evaluating) settings += Training::shared().long_evaluation();
    if (when == When::before_step_1) settings += kLongStartUp;
    return settings + " --set eval.interval=" + (when == When::evaluating ? "1" : "0") + GetParam().layout;
  }
  static std::string cue() {
    switch (GetParam().when) {
      case When::saving:
        return "checkpoint of step 3: ";
      case When::evaluating:
        return "step: 1/";
      case When::before_step_1:
        return "optimizer:";  // part of the printed configuration
      default:
        return "step: 3/";
    }
  }
  TempDir dir_;
};

TEST_P(Signals, StopAllRanksAtOneStepWithACheckpointAndCode75) {
  const When when = GetParam().when;
  Background run(Training::shared().command(GetParam().ranks, dir_ / "run", arguments()), dir_ / "log");
  ASSERT_TRUE(run.shows(cue(), 60)) << run.output();
  send(run);
  if (when == When::twice) send(run);
  EXPECT_EQ(run.wait(60), 75) << run.output();
  EXPECT_THAT(run.output(), HasSubstr("on request"));
  if (when == When::evaluating) {
    EXPECT_THAT(run.output(), HasSubstr("was broken off"));
  }
  const std::filesystem::path saved = dir_ / "run" / "checkpoints";
  const std::vector<int64_t> steps = list_checkpoints(saved);
  ASSERT_FALSE(steps.empty());
  if (when != When::saving) {
    EXPECT_EQ(steps.size(), 1u);
  }
  if (when == When::before_step_1) {
    EXPECT_EQ(steps.back(), 0);
  }
  EXPECT_EQ(verify_checkpoint(saved / checkpoint_name(steps.back())).integers.at("trainer.steps"), steps.back());
  EXPECT_THAT(run.output(), HasSubstr("stopped after step " + std::to_string(steps.back()) + " on request"));
  const ProgramResult next =
      Training::shared().train(GetParam().ranks, dir_ / "run",
                               "--set run.steps=" + std::to_string(steps.back() + 1) +
                                   (when == When::before_step_1 ? kLongStartUp : "") + GetParam().layout);
  EXPECT_EQ(next.exit_code, 0) << next.output;
  EXPECT_THAT(next.output, HasSubstr(", step " + std::to_string(steps.back())));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Signals,
    testing::Values(SignalCase{"TermToTheOnlyRank", 1, SIGTERM, Whom::all_ranks, When::training},
                    SignalCase{"Usr1ToTheOnlyRank", 1, SIGUSR1, Whom::all_ranks, When::training},
                    SignalCase{"HupToTheOnlyRank", 1, SIGHUP, Whom::all_ranks, When::training},
                    SignalCase{"Usr2ToOneRank", 2, SIGUSR2, Whom::one_rank, When::training},
                    SignalCase{"XcpuToTheOnlyRank", 1, SIGXCPU, Whom::all_ranks, When::training},
                    SignalCase{"TermToOneRank", 2, SIGTERM, Whom::one_rank, When::training},
                    SignalCase{"Usr1ToOneRank", 2, SIGUSR1, Whom::one_rank, When::training},
                    SignalCase{"TermToAllRanks", 2, SIGTERM, Whom::all_ranks, When::training},
                    SignalCase{"Usr1ToAllRanks", 2, SIGUSR1, Whom::all_ranks, When::training},
                    SignalCase{"TermTwice", 2, SIGTERM, Whom::all_ranks, When::twice},
                    SignalCase{"Usr1Twice", 2, SIGUSR1, Whom::one_rank, When::twice},
                    SignalCase{"TermDuringASave", 2, SIGTERM, Whom::one_rank, When::saving},
                    SignalCase{"Usr1DuringASave", 2, SIGUSR1, Whom::all_ranks, When::saving},
                    SignalCase{"TermDuringAnEvaluation", 2, SIGTERM, Whom::one_rank, When::evaluating},
                    SignalCase{"Usr1DuringAnEvaluation", 2, SIGUSR1, Whom::all_ranks, When::evaluating},
                    SignalCase{"TermToOneRankOfTp2Dp2", 4, SIGTERM, Whom::one_rank, When::training, kTp2},
                    SignalCase{"Usr1DuringASaveOfTp2Dp2", 4, SIGUSR1, Whom::one_rank, When::saving, kTp2},
                    SignalCase{"TermDuringAnEvaluationOfTp2Dp2", 4, SIGTERM, Whom::one_rank, When::evaluating, kTp2},
                    SignalCase{"TermBeforeTheFirstStep", 2, SIGTERM, Whom::one_rank, When::before_step_1},
                    SignalCase{"Usr1BeforeTheFirstStep", 1, SIGUSR1, Whom::all_ranks, When::before_step_1}),
    [](const auto& info) { return info.param.name; });

// nohup: a hang-up of the terminal does not end it.
TEST(Hup, ThatWasIgnoredAtTheStartStaysIgnored) {
  const TempDir dir;
  Background run("nohup " + Training::shared().command(1, dir / "run", kLong), dir / "log");
  ASSERT_TRUE(run.shows("step: 2/", 60)) << run.output();
  run.signal(SIGHUP);
  EXPECT_EQ(run.wait(0.5), -1) << run.output();
  run.signal(SIGUSR1);
  EXPECT_EQ(run.wait(60), 75) << run.output();
}

TEST(Limits, OfProcessorTimeAreARequestToStop) {
  const TempDir dir;
  const ProgramResult run =
      run_program("bash -c \"ulimit -St 2; exec " + Training::shared().command(1, dir / "run", kLong) + "\"");
  EXPECT_EQ(run.exit_code, 75) << run.output;
  EXPECT_EQ(list_checkpoints(dir / "run" / "checkpoints").size(), 1u);
}

// Output that cannot be written never stops a run: the reader has gone, the disk is full, or there is no output at all.
TEST(Output, ThatCannotBeWrittenStopsNoRun) {
  const TempDir dir;
  const std::string train = Training::shared().command(1, dir / "run", "--set eval.interval=0");
  int64_t steps = 8;
  for (const char* output : {"| head -1; exit ${PIPESTATUS[0]}", ">/dev/full", ">&-", ">&- 2>&- <&-"}) {
    std::ofstream(dir / "train.sh") << train << " --set run.steps=" << steps << " " << output << "\n";
    const ProgramResult run = run_program("bash " + (dir / "train.sh").string());
    EXPECT_EQ(run.exit_code, 0) << output << run.output;
    EXPECT_EQ(list_checkpoints(dir / "run" / "checkpoints").back(), steps) << output;
    verify_checkpoint(dir / "run" / "checkpoints" / checkpoint_name(steps));
    ++steps;
  }
}

// mpirun ends with an exit code of its own, but gives the ranks the configured time to save.
TEST(Mpirun, PassesSigtermOnAndLetsTheRanksSave) {
  const TempDir dir;
  // While it ends, mpirun reads nothing from the ranks: many step lines would fill the pipe and block them.
  Background run("env OMPI_MCA_odls_base_sigkill_timeout=5 " +
                     Training::shared().command(2, dir / "run", std::string(kLong) + " --set run.log_interval=100000"),
                 dir / "log");
  ASSERT_TRUE(run.shows("training ", 60)) << run.output();
  run.signal(SIGTERM);
  EXPECT_GT(run.wait(60), 0) << run.output();
  const std::filesystem::path saved = dir / "run" / "checkpoints";
  ASSERT_EQ(list_checkpoints(saved).size(), 1u) << run.output();
  verify_checkpoint(saved / checkpoint_name(list_checkpoints(saved)[0]));
}

TEST(TimeBudget, StopsWithACheckpointAndCode75) {
  const TempDir dir;
  const ProgramResult run = Training::shared().train(1, dir / "run", std::string(kLong) + " --set run.time_budget_s=2");
  EXPECT_EQ(run.exit_code, 75) << run.output;
  EXPECT_THAT(run.output, HasSubstr("by the time budget"));
  EXPECT_EQ(list_checkpoints(dir / "run" / "checkpoints").size(), 1u);
}

TEST(TimeBudget, ThatExpiresWithinAnEvaluationBreaksItOff) {
  const TempDir dir;
  const ProgramResult run = Training::shared().train(
      2, dir / "run",
      "--set run.steps=100000 --set checkpoint.interval=0 --set eval.interval=1 --set run.time_budget_s=8" +
          Training::shared().long_evaluation());
  EXPECT_EQ(run.exit_code, 75) << run.output;
  EXPECT_THAT(run.output, HasSubstr("was broken off"));
  EXPECT_THAT(run.output, HasSubstr("by the time budget"));
  EXPECT_EQ(list_checkpoints(dir / "run" / "checkpoints").size(), 1u);
}

// The start-up counts too: with a budget shorter than it, no step is run.
TEST(TimeBudget, CountsFromTheStartOfTheProcess) {
  const TempDir dir;
  const ProgramResult run =
      Training::shared().train(1, dir / "run", std::string(kLong) + " --set run.time_budget_s=0.001");
  EXPECT_EQ(run.exit_code, 75) << run.output;
  EXPECT_THAT(run.output, HasSubstr("stopped after step 0 by the time budget"));
}

// The first update divides by zero, and a checkpoint after it would be useless.
TEST(NonFinite, AFirstUpdateThatIsNotFiniteIsNotSaved) {
  const TempDir dir;
  const ProgramResult run = Training::shared().train(
      1, dir / "run", "--set optimizer.eps=0 --set eval.interval=0 --set run.steps=400 --set checkpoint.interval=1");
  EXPECT_EQ(run.exit_code, 5) << run.output;
  EXPECT_THAT(run.output, HasSubstr("Nothing of it was saved; there is no checkpoint from before it. Start anew"));
  EXPECT_THAT(list_checkpoints(dir / "run" / "checkpoints"), testing::IsEmpty());
}

TEST(Spikes, InARowEndTheRunAndAreNamed) {
  const TempDir dir;
  const ProgramResult run =
      Training::shared().train(1, dir / "run",
                               std::string(kLong) +
                                   " --set optimizer.learning_rate=0 --set optimizer.spike.z_score=0.001 "
                                   "--set optimizer.spike.window=16 --set optimizer.max_nonfinite_steps=2");
  EXPECT_EQ(run.exit_code, 5) << run.output.substr(run.output.size() > 3000 ? run.output.size() - 3000 : 0);
  EXPECT_THAT(run.output,
              testing::ContainsRegex("steps in a row that were skipped; last: the loss [0-9.]+ is a spike"));
}

// A restart must not reset the count of steps skipped in a row.
TEST(NonFinite, StepsInARowAreCountedAcrossARestart) {
  const TempDir dir;
  const std::string spikes =
      " --set optimizer.learning_rate=0 --set optimizer.spike.z_score=0.001 --set eval.interval=0 "
      "--set optimizer.max_nonfinite_steps=1000 --set optimizer.spike.window=16 --set run.steps=40";
  ASSERT_EQ(Training::shared().train(1, dir / "run", spikes).exit_code, 0);
  const auto before = manifest_of(dir / "run", 40).integers;
  EXPECT_GT(before.at("run.skipped_spikes"), 0);
  ASSERT_EQ(Training::shared().train(1, dir / "run", spikes + " --set run.steps=41").exit_code, 0);
  const auto after = manifest_of(dir / "run", 41).integers;
  const int64_t skipped = after.at("run.skipped_spikes") - before.at("run.skipped_spikes");
  EXPECT_EQ(after.at("run.skipped_in_a_row"), skipped > 0 ? before.at("run.skipped_in_a_row") + 1 : 0);
}

TEST(BadSamples, OfAllReplicasAreCountedAndOutliveARestart) {
  const TempDir dir;
  std::filesystem::copy(Training::shared().data(), dir / "data", std::filesystem::copy_options::recursive);
  const std::filesystem::path shard = dir / "data" / "train" / "shard-00000.h5";
  std::string bytes = read_file(shard);
  const H5Dataset tokens = H5File::open(shard).root().dataset("tokens");
  for (size_t i = 0; i < tokens.bytes(); i += 512) bytes[static_cast<size_t>(tokens.offset) + i] ^= 0x55;
  write_file(shard, bytes);
  const std::string settings =
      " --set eval.interval=0 --set data.bad_samples=skip --set data.max_bad_samples=100000 "
      "--set 'data.sources=[{path: " +
      (dir / "data").string() + ", name: data}]'";
  const ProgramResult run = Training::shared().train(2, dir / "run", settings);
  ASSERT_EQ(run.exit_code, 0) << run.output;
  const int64_t before = manifest_of(dir / "run", 8).integers.at("run.bad_samples");
  EXPECT_GT(before, 0);
  const ProgramResult next = Training::shared().train(2, dir / "run", settings + " --set run.steps=9");
  ASSERT_EQ(next.exit_code, 0) << next.output;
  EXPECT_GE(manifest_of(dir / "run", 9).integers.at("run.bad_samples"), before);
}

TEST(Directory, IsRefusedToASecondRun) {
  const TempDir dir;
  Background first(Training::shared().command(1, dir / "run", kLong), dir / "log");
  ASSERT_TRUE(first.shows("step: 1/", 60)) << first.output();
  const ProgramResult second = Training::shared().train(1, dir / "run", kLong);
  EXPECT_EQ(second.exit_code, 2) << second.output;
  EXPECT_THAT(second.output, HasSubstr("is in use by process "));
  first.signal(SIGKILL);
  EXPECT_EQ(first.wait(30), 137);
  EXPECT_EQ(Training::shared().train(1, dir / "run", "--set run.steps=2").exit_code, 0);
}

// The ranks of the killed mpirun live a moment longer and still hold the directory.
TEST(Mpirun, ThatIsKilledLeavesADirectoryThatCanBeUsedAtOnce) {
  const TempDir dir;
  Background first(Training::shared().command(2, dir / "run", kLong), dir / "log");
  ASSERT_TRUE(first.shows("step: 2/", 60)) << first.output();
  first.signal(SIGKILL);
  EXPECT_EQ(first.wait(30), 137);
  const ProgramResult second = Training::shared().train(1, dir / "run", "--set run.steps=2");
  EXPECT_EQ(second.exit_code, 0) << second.output;
}

TEST(LostPeer, FreesTheOtherRanks) {
  const TempDir dir;
  Background run(Training::shared().command(3, dir / "run", kLong), dir / "log");
  ASSERT_TRUE(run.shows("step: 2/", 60)) << run.output();
  const std::vector<int> pids = ranks_of(dir / "run");
  ASSERT_EQ(pids.size(), 3u);
  kill(pids[1], SIGKILL);
  EXPECT_GT(run.wait(60), 0) << run.output();
  EXPECT_TRUE(ranks_of(dir / "run").empty());
}

TEST(Mistakes, AreFoundBeforeTheFirstStep) {
  const TempDir dir;
  const auto refuse = [&](const std::string& arguments, int code, const std::string& message) {
    const ProgramResult run = Training::shared().train(1, dir / "run", arguments);
    EXPECT_EQ(run.exit_code, code) << arguments;
    EXPECT_THAT(run.output, HasSubstr(message)) << arguments;
  };
  refuse("--set run.dir=/proc/nowhere", 2, "cannot be made");
  refuse("--set data.tokenizer=/nowhere.json", 2, "/nowhere.json");
  refuse("--set 'data.sources=[{path: /nowhere}]'", 6, "/nowhere");
  refuse("--resume /nowhere", 6, "/nowhere");
  refuse("--set model.vocab_size=100", 2, "has 400 tokens");
}

}  // namespace
}  // namespace birkhoff::test

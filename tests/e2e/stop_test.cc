// How a run ends: on request, by its budget, by a lost peer, by a second run.
#include <csignal>
#include <filesystem>

#include <gmock/gmock.h>

#include "tests/e2e/training.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff::test {
namespace {

using testing::HasSubstr;

constexpr const char* kLong = "--set run.steps=100000 --set checkpoint.interval=0 --set eval.interval=0";

// Processes of the program that train into a directory, without mpirun and shells around them.
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

class Signals : public testing::TestWithParam<std::pair<int, int>> {};

TEST_P(Signals, StopAllRanksAtOneStepWithACheckpointAndCode75) {
  const auto [ranks, number] = GetParam();
  const TempDir dir;
  Background run(Training::shared().command(ranks, dir / "run", kLong), dir / "log");
  ASSERT_TRUE(run.shows("step: 3/", 60)) << run.output();
  // One rank alone is told, as by a scheduler: the others learn it from it. (mpirun forwards SIGUSR1 to all; on SIGTERM
  // it ends with a code of its own, after the ranks have saved.)
  if (number == SIGUSR1 || ranks == 1) {
    run.signal(number);
  } else {
    const std::vector<int> pids = ranks_of(dir / "run");
    ASSERT_EQ(pids.size(), 2u);
    kill(pids[1], number);
  }
  EXPECT_EQ(run.wait(60), 75) << run.output();
  EXPECT_THAT(run.output(), HasSubstr("on request"));
  const std::vector<int64_t> saved = list_checkpoints(dir / "run" / "checkpoints");
  ASSERT_EQ(saved.size(), 1u);
  EXPECT_EQ(open_checkpoint(dir / "run" / "checkpoints" / checkpoint_name(saved[0])).integers.at("trainer.steps"),
            saved[0]);
}

INSTANTIATE_TEST_SUITE_P(Cases, Signals,
                         testing::Values(std::pair{1, SIGTERM}, std::pair{1, SIGUSR1}, std::pair{2, SIGTERM},
                                         std::pair{2, SIGUSR1}));

TEST(TimeBudget, StopsWithACheckpointAndCode75) {
  const TempDir dir;
  const ProgramResult run = Training::shared().train(1, dir / "run", std::string(kLong) + " --set run.time_budget_s=1");
  EXPECT_EQ(run.exit_code, 75) << run.output;
  EXPECT_THAT(run.output, HasSubstr("by the time budget"));
  EXPECT_EQ(list_checkpoints(dir / "run" / "checkpoints").size(), 1u);
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

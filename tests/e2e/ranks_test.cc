// Ranks that do not run the same program or configuration, and ranks that miss a deadline.
#include <fstream>

#include <gmock/gmock.h>

#include "tests/e2e/training.h"

namespace birkhoff::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(SameRun, RanksWithOtherConfigurationsAreRefusedWithTheTable) {
  const TempDir dir;
  const ProgramResult run =
      run_pair(Training::shared().command(1, dir / "run"),
               Training::shared().command(1, dir / "run", "--set run.steps=9 --set optimizer.learning_rate=1e-3"));
  EXPECT_EQ(run.exit_code, 4) << run.output;
  EXPECT_THAT(run.output,
              AllOf(HasSubstr("the ranks do not run the same program with the same configuration:"),
                    HasSubstr("rank | host | binary | configuration"), HasSubstr("run.steps: 8 on rank 0, 9 on rank 1"),
                    HasSubstr("optimizer.learning_rate: 0.002 on rank 0"), Not(HasSubstr("step: 1/"))));
  EXPECT_EQ(count(run.output, "the ranks do not run the same"), 1u) << run.output;
}

TEST(SameRun, RanksOfOtherBinariesAreRefusedWithTheTable) {
  const TempDir dir;
  std::filesystem::copy(BIRKHOFF_PROGRAM, dir / "birkhoff");
  std::ofstream(dir / "birkhoff", std::ios::app) << "another build";
  const std::string command = Training::shared().command(1, dir / "run");
  std::string other = command;
  other.replace(0, std::string(BIRKHOFF_PROGRAM).size(), (dir / "birkhoff").string());
  const ProgramResult run = run_pair(command, other);
  EXPECT_EQ(run.exit_code, 4) << run.output;
  EXPECT_THAT(run.output, AllOf(HasSubstr("rank | host | binary | configuration"), HasSubstr("\n     0 | "),
                                HasSubstr("\n     1 | "), Not(HasSubstr(" on rank 0, "))));
}

// Before MPI has started, no rank can tell the others that it ended or hangs.
TEST(Deadline, OfTheStartUpCoversTheStartOfMpi) {
  const TempDir dir;
  for (const char* other : {"true", "sleep 1000"}) {
    const ProgramResult run =
        run_pair(Training::shared().command(1, dir / "run", "--set parallel.timeout_init_s=2"), other);
    EXPECT_EQ(run.exit_code, 4) << other << run.output;
    EXPECT_THAT(run.output, HasSubstr("communication error: [rank 0] the start of MPI did not end within 2 s "
                                      "(parallel.timeout_init_s: raise it if that is too short)"));
  }
}

// The log and the errors go to a pipe that fills up; no print may delay the deadline.
TEST(Deadline, HoldsWhereNobodyReadsWhatIsPrinted) {
  const TempDir dir;
  const std::string train = Training::shared().command(
      1, dir / "run", "--set run.steps=100000 --set parallel.timeout_step_s=1 --set eval.interval=0");
  std::ofstream(dir / "train.sh") << "mkfifo pipe; exec 3<>pipe; " << train << " >&3 2>&3; exit $?\n";
  EXPECT_EQ(run_program("env -C " + dir.path().string() + " timeout -s KILL 60 bash train.sh").exit_code, 4);
}

TEST(SameRun, AWorldThatDoesNotFitTheDegreesIsRefused) {
  const TempDir dir;
  const ProgramResult run = Training::shared().train(2, dir / "run", "--set parallel.dp=3");
  EXPECT_EQ(run.exit_code, 2) << run.output;
  EXPECT_THAT(run.output, HasSubstr("layout dp3 on 2 ranks:\n  dp 3   does not fit the 2 ranks; start another"));
  EXPECT_THAT(run.output, HasSubstr("nearest that work: dp2, dp2.ep2, dp2.etp2\n"));
  EXPECT_EQ(count(run.output, "error: "), 1u) << run.output;
}

TEST(SameRun, ALayoutIsGivenByItsName) {
  const TempDir dir;
  const ProgramResult run = Training::shared().train(2, dir / "run", "--layout dp2 --set run.steps=1");
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr("  dp: 2"));
  const ProgramResult refused = Training::shared().train(2, dir / "other", "--layout tp3.dp1");
  EXPECT_EQ(refused.exit_code, 2) << refused.output;
  EXPECT_THAT(refused.output,
              HasSubstr("layout tp3 on 2 ranks:\n  tp 3   does not divide model.attention.num_heads 4\n"));
  EXPECT_THAT(refused.output, HasSubstr("nearest that work: tp2, "));
  EXPECT_EQ(count(refused.output, "error: "), 1u) << refused.output;
}

TEST(SameRun, ProcessesThatEachAreAWorldAreRefused) {
  const TempDir dir;
  const ProgramResult run = run_program("env OMPI_COMM_WORLD_SIZE=4 " + Training::shared().command(1, dir / "run"));
  EXPECT_EQ(run.exit_code, 2) << run.output;
  EXPECT_THAT(run.output, HasSubstr("the launcher started 4 processes (OMPI_COMM_WORLD_SIZE)"));
}

TEST(Deadline, OfAnEvaluationIsItsOwnAndNamesItsSetting) {
  const TempDir dir;
  const std::string arguments = Training::shared().long_evaluation() + " --set run.steps=1 --set checkpoint.interval=0";
  const ProgramResult late = Training::shared().train(1, dir / "late", arguments + " --set parallel.timeout_eval_s=1");
  EXPECT_EQ(late.exit_code, 4) << late.output;
  EXPECT_THAT(late.output, HasSubstr("evaluation did not end within 1 s (parallel.timeout_eval_s: raise it"));
}

// The dumps lie apart from those of a run that trains in the same folder.
TEST(Deadline, OfTheCommandEvalLeavesDumpsOfItsOwn) {
  const TempDir dir;
  const std::string arguments = Training::shared().long_evaluation() + " --set run.steps=1";
  const ProgramResult run =
      Training::shared().train(1, dir / "run", "--set run.steps=1 --set eval.interval=0 --set eval.sequences=1");
  ASSERT_EQ(run.exit_code, 0) << run.output;
  std::string command = Training::shared().command(1, dir / "run", arguments + " --set parallel.timeout_eval_s=1");
  command.replace(command.find(" train "), 7, " eval ");
  const ProgramResult late = run_program(command);
  EXPECT_EQ(late.exit_code, 4) << late.output;
  EXPECT_THAT(late.output, HasSubstr("error: evaluation did not end within 1 s (parallel.timeout_eval_s: raise it"));
  EXPECT_THAT(late.output, HasSubstr("the cause is in rank 0 of 1, which waits for no other rank"));
  EXPECT_TRUE(std::filesystem::exists(dir / "run" / "eval" / "watchdog_rank_0.json"));
  EXPECT_FALSE(std::filesystem::exists(dir / "run" / "watchdog_rank_0.json"));
}

}  // namespace
}  // namespace birkhoff::test

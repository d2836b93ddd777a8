// Runs launch/slurm/train.sbatch with stand-ins for the commands of Slurm and MPI. docs/exit_codes.md says what a real
// Slurm does with it.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include <gmock/gmock.h>

#include "tests/support/program.h"
#include "tests/support/temp_dir.h"

namespace birkhoff::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class TrainSbatch : public testing::Test {
 protected:
  TrainSbatch() {
    tool("scontrol", "echo \"$@\" >>requeued");
    tool("squeue", "cat state");
    write_file(dir_ / "state", "RUNNING\n");
  }
  void tool(const std::string& name, const std::string& body) {
    write_file(dir_ / name, "#!/bin/bash\n" + body + "\n");
    std::filesystem::permissions(dir_ / name, std::filesystem::perms::owner_all);
  }
  // Sets the body of the launcher, in which $signals counts the USR1 signals received so far.
  void launcher(const std::string& body) { tool("mpirun", "signals=0; trap 'signals=$((signals + 1))' USR1\n" + body); }
  std::string command(const std::string& environment = "") const {
    const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
    const std::string script = std::filesystem::absolute(source ? source : ".").string() + "/launch/slurm/train.sbatch";
    return "env -C " + dir_.path().string() + " PATH=" + dir_.path().string() + ":$PATH SLURM_JOB_ID=17 " +
           environment + " bash " + script + " config.yaml --set run.steps=9";
  }
  ProgramResult run(const std::string& environment = "") const { return run_program(command(environment)); }
  std::string requeued() const { return read_file(dir_ / "requeued"); }
  TempDir dir_;
};

TEST_F(TrainSbatch, StartsTheRanksWithItsArgumentsAndEndsWhenTheyAreDone) {
  launcher("echo \"$@\"");
  const ProgramResult done = run();
  EXPECT_EQ(done.exit_code, 0) << done.output;
  EXPECT_THAT(done.output, HasSubstr("--bind-to none birkhoff train config.yaml --set run.steps=9\n"));
  EXPECT_EQ(requeued(), "");
}

TEST_F(TrainSbatch, PassesOneSignalOnWaitsForTheCheckpointAndRequeues) {
  launcher(
      "echo started; while [ $signals = 0 ]; do sleep 0.05; done\n"
      "for i in $(seq 20); do sleep 0.05; done; echo saved after $signals; exit 75");
  Background job(command(), dir_ / "log");
  ASSERT_TRUE(job.shows("started", 20)) << job.output();
  kill(job.pid(), SIGUSR1);
  kill(job.pid(), SIGTERM);
  EXPECT_EQ(job.wait(20), 75) << job.output();
  EXPECT_THAT(job.output(), AllOf(HasSubstr("saved after 1\n"), HasSubstr("code 75: the job goes back to the queue")));
  EXPECT_EQ(requeued(), "requeue 17\n");
}

// --signal may name any of these.
TEST_F(TrainSbatch, TakesEverySignalThatAsksForAStop) {
  launcher("echo started; while [ $signals = 0 ]; do sleep 0.05; done; exit 75");
  std::vector<std::unique_ptr<Background>> jobs;
  const int numbers[] = {SIGUSR2, SIGHUP, SIGINT, SIGXCPU};
  for (const int number : numbers)
    jobs.push_back(std::make_unique<Background>(command(), dir_ / ("log" + std::to_string(number))));
  for (size_t i = 0; i < jobs.size(); ++i) {
    ASSERT_TRUE(jobs[i]->shows("started", 20)) << jobs[i]->output();
    kill(jobs[i]->pid(), numbers[i]);
  }
  for (size_t i = 0; i < jobs.size(); ++i) EXPECT_EQ(jobs[i]->wait(20), 75) << numbers[i] << jobs[i]->output();
  EXPECT_EQ(requeued(), "requeue 17\nrequeue 17\nrequeue 17\nrequeue 17\n");
}

// mpirun dies of a signal that comes before it has installed its handler, and forgets one that comes before it has
// started the ranks.
TEST_F(TrainSbatch, KeepsASignalThatComesEarlyUntilTheLauncherCanPassItOn) {
  tool("mpirun",
       "echo started; sleep 0.5; trap '' USR1; echo no ranks yet; sleep 0.5; signals=0; trap 'signals=1' USR1\n"
       "while [ $signals = 0 ]; do sleep 0.05; done; exit 75");
  Background first(command(), dir_ / "log1"), second(command(), dir_ / "log2");
  ASSERT_TRUE(first.shows("started", 20)) << first.output();
  kill(first.pid(), SIGUSR1);
  ASSERT_TRUE(second.shows("no ranks yet", 20)) << second.output();
  kill(second.pid(), SIGUSR1);
  EXPECT_EQ(first.wait(20), 75) << first.output();
  EXPECT_EQ(second.wait(20), 75) << second.output();
}

// The log has reached the limit on file sizes: without the trap bash would die of SIGXFSZ before it requeues the job.
TEST_F(TrainSbatch, RequeuesWhereItsLogMayNotGrow) {
  launcher("exit 75");
  write_file(dir_ / "log", std::string(1024, 'x'));
  const ProgramResult full =
      run_program("bash -c 'ulimit -f 1; " + command() + " >>" + (dir_ / "log").string() + " 2>&1'");
  EXPECT_EQ(full.exit_code, 75) << full.output;
  EXPECT_EQ(requeued(), "requeue 17\n");
}

TEST_F(TrainSbatch, MustBeStartedBySlurm) {
  launcher("exit 0");
  const ProgramResult alone = run("SLURM_JOB_ID=");
  EXPECT_NE(alone.exit_code, 0);
  EXPECT_THAT(alone.output, HasSubstr("SLURM_JOB_ID: is not set: submit this script with sbatch"));
}

// The file that counts the failures may be damaged when a node fails, or may not be writable.
TEST_F(TrainSbatch, CountsFailuresWhateverItsFileHolds) {
  launcher("exit 4");
  write_file(dir_ / ".birkhoff-17.failures", "torn\n");
  EXPECT_THAT(run().output, HasSubstr("goes back to the queue"));
  EXPECT_EQ(read_file(dir_ / ".birkhoff-17.failures"), "1\n");
  EXPECT_THAT(run("SLURM_SUBMIT_DIR=/proc").output,
              HasSubstr("its failures cannot be counted, it is not started again"));
  EXPECT_EQ(requeued(), "requeue 17\n");
}

TEST_F(TrainSbatch, RequeuesOnlyTheElementOfAnArray) {
  launcher("exit 75");
  run("SLURM_ARRAY_JOB_ID=12 SLURM_ARRAY_TASK_ID=3");
  EXPECT_EQ(requeued(), "requeue 12_3\n");
}

TEST_F(TrainSbatch, DoesNotRequeueWhatAHumanMustFix) {
  for (const int code : {2, 3, 5, 6, 74}) {
    launcher("exit " + std::to_string(code));
    const ProgramResult ended = run();
    EXPECT_EQ(ended.exit_code, code) << ended.output;
    EXPECT_THAT(ended.output, HasSubstr("starting it again would not help"));
  }
  EXPECT_EQ(requeued(), "");
}

TEST_F(TrainSbatch, StartsAFailedRunAgainAFewTimes) {
  launcher("exit 137");
  EXPECT_THAT(run("RETRIES=2").output, HasSubstr("goes back to the queue"));
  launcher("exit 4");
  EXPECT_THAT(run("RETRIES=2").output, HasSubstr("goes back to the queue"));
  launcher("exit 1");
  const ProgramResult last = run("RETRIES=2");
  EXPECT_EQ(last.exit_code, 1);
  EXPECT_THAT(last.output, HasSubstr("code 1: 3 times in a row, it is not started again"));
  EXPECT_EQ(requeued(), "requeue 17\nrequeue 17\n");
}

TEST_F(TrainSbatch, LeavesAJobThatWasCanceled) {
  launcher("exit 75");
  write_file(dir_ / "state", "COMPLETING\n");
  const ProgramResult ended = run();
  EXPECT_EQ(ended.exit_code, 75);
  EXPECT_THAT(ended.output, AllOf(HasSubstr("Slurm has ended the job (COMPLETING)"), Not(HasSubstr("goes back"))));
  EXPECT_EQ(requeued(), "");
}

}  // namespace
}  // namespace birkhoff::test

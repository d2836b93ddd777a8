// A run prints how much memory it needs before its first step, and again if memory runs out.
#include <gmock/gmock.h>

#include "tests/e2e/training.h"

namespace birkhoff::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Memory, OfARankIsPrintedBeforeTheFirstStep) {
  const TempDir dir;
  const ProgramResult run = Training::shared().train(2, dir / "run", "--set run.steps=1");
  ASSERT_EQ(run.exit_code, 0) << run.output;
  const size_t table = run.output.find("memory of a rank, MiB\n");
  ASSERT_NE(table, std::string::npos) << run.output;
  EXPECT_LT(table, run.output.find("step: 1/"));
  EXPECT_EQ(run.output.find("memory of a rank", table + 1), std::string::npos) << "once, not by each rank";
  for (const char* row :
       {"weights", "gradients", "moments", "Engram tables", "activations of a microbatch", "kernel scratch",
        "communication buffers", "checkpoint staging", "2 ranks of this host: ", ": fits\n"}) {
    EXPECT_THAT(run.output.substr(table, 2000), HasSubstr(row));
  }
}

// Tables of 13 GB, with a limit of 3 GB for a process.
TEST(Memory, ThatRunsOutEndsTheRunWithTheTableAndRemedies) {
#ifdef BIRKHOFF_SANITIZED
  GTEST_SKIP() << "a sanitizer needs more address space than the test leaves";
#endif
  const TempDir dir;
  const std::string train =
      Training::shared().command(1, dir / "run", "--set run.steps=1 --set model.engram.rows_per_head=100000000");
  const ProgramResult run = run_program("bash -c \"ulimit -v 3000000; " + train + "\"");
  EXPECT_EQ(run.exit_code, 2) << run.output;
  const size_t error = run.output.find("error: memory ran out\n");
  ASSERT_NE(error, std::string::npos) << run.output;
  EXPECT_THAT(run.output.substr(0, error),
              AllOf(HasSubstr("left to a process by ulimit -v: DOES NOT FIT"), Not(HasSubstr("step: 1/"))));
  EXPECT_THAT(run.output.substr(error),
              AllOf(HasSubstr("Engram tables"), HasSubstr("DOES NOT FIT"), HasSubstr("model.recompute=block"),
                    HasSubstr("model.engram.rows_per_head"), HasSubstr("fewer ranks on a host")));
}

}  // namespace
}  // namespace birkhoff::test

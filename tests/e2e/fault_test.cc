// A rank of a real training run dies or hangs at various places; the other ranks must end by the deadline.
#include <algorithm>
#include <csignal>
#include <iterator>
#include <ostream>

#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/e2e/training.h"

namespace birkhoff::test {
namespace {

using testing::HasSubstr;

struct Layout {
  int ranks;
  const char* settings;
};
constexpr Layout kDp3{3, ""}, kTp2Dp2{4, " --set parallel.tp=2 --set optimizer.type=muon"},
    kTp2Dp2Ep4{4, " --layout tp2.dp2.ep4"}, kGrouped{4, " --layout tp2.dp2.ep4.grouped"};

struct Place {
  std::string name, place;
  int count;          // the number of the operation at that place
  std::string phase;  // expected message: the phase that misses its deadline
  Layout layout = kDp3;
  int rank = 1;  // the rank of the world that fails
};

// A step has 4 microbatches on each of 3 replicas, or 6 on each of 2. The counts of the phases that name no step skip
// the operations of the first one. The first microbatch of TpBackward sums 16 times before its backward begins.
const Place kPlaces[] = {
    {"StartUp", "agree_on", 6, "start-up did not end within 4 s (parallel.timeout_init_s"},
    {"Forward", "forward", 3, "step 1 did not end within 3 s (parallel.timeout_step_s"},
    {"Backward", "bucket.cc", 12, " did not end within 3 s (parallel.timeout_step_s"},
    {"RowExchange", "exchange_rows", 7, " did not end within 3 s (parallel.timeout_step_s"},
    {"Optimizer", "table.cc", 5, " did not end within 3 s (parallel.timeout_step_s"},
    {"Decision", "agree_to_stop", 3, " did not end within 3 s (parallel.timeout_step_s"},
    {"Save", "checkpoint", 2, " did not end within "},
    {"TpForward", "gather_to", 3, "step 1 did not end within 3 s (parallel.timeout_step_s", kTp2Dp2},
    {"TpBackward", "scatter_sum_to", 20, "step 1 did not end within 3 s (parallel.timeout_step_s", kTp2Dp2},
    {"TpReduction", "start_reduce", 12, " did not end within 3 s (parallel.timeout_step_s", kTp2Dp2},
    {"TpOptimizer", "divided_muon.cc", 18, " did not end within 3 s (parallel.timeout_step_s", kTp2Dp2},
    // Rank 2 waits for rank 3 in tp, and the others wait for both.
    {"TpLastRank", "gather_to", 3, "step 1 did not end within 3 s (parallel.timeout_step_s", kTp2Dp2, 3},
    {"TpSave", "checkpoint", 2, " did not end within ", kTp2Dp2},
    {"Dispatch", "row_exchange.cc", 3, "step 1 did not end within 3 s (parallel.timeout_step_s", kTp2Dp2Ep4},
    {"Combine", "row_exchange.cc", 4, "step 1 did not end within 3 s (parallel.timeout_step_s", kTp2Dp2Ep4},
    {"GroupedDispatch", "row_exchange.cc", 20, " did not end within 3 s (parallel.timeout_step_s", kGrouped},
};

const Place& place(const std::string& name) {
  return *std::find_if(std::begin(kPlaces), std::end(kPlaces), [&](const Place& p) { return p.name == name; });
}
void PrintTo(const Place& place, std::ostream* out) { *out << place.name; }

// Of the processes that this test starts; it tells them from those of another test that runs at the same time.
std::string name_of_ranks() { return "fault_" + std::to_string(getpid()); }

class Fault : public testing::TestWithParam<Place> {
 protected:
  Fault() { setenv("BIRKHOFF_FAULT_NAME", name_of_ranks().c_str(), 1); }
  ProgramResult run(int signal, const std::string& launch = "") const {
    const Place& p = GetParam();
    const std::string faulty = std::string(BIRKHOFF_FAULT_TRAIN) + " " + std::to_string(signal) + " " +
                               std::to_string(p.rank) + " " + p.place + " " + std::to_string(p.count);
    std::string command = Training::shared().command(
        p.layout.ranks, dir_ / "run",
        "--set run.steps=100000 --set checkpoint.interval=2 --set eval.interval=0 --set parallel.timeout_init_s=4 "
        "--set parallel.timeout_step_s=3 --set parallel.timeout_checkpoint_s=3" +
            std::string(p.layout.settings));
    command.replace(command.find(BIRKHOFF_PROGRAM), std::string(BIRKHOFF_PROGRAM).size(), faulty);
    return run_program(launch.empty() ? command : command.insert(command.find(" -n "), " " + launch));
  }
  static std::string rank() { return "rank " + std::to_string(GetParam().rank); }
  // The number of processes that the run left behind, zombies included. Gives the last one some time to disappear.
  static int left() {
    int count = processes();
    for (int i = 0; i < 200 && count > 0; ++i, count = processes()) usleep(50'000);
    return count;
  }
  static int processes() {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = read_file(entry.path() / "comm");
      count += name == name_of_ranks() + "\n";
    }
    return count;
  }
  static size_t count(const std::string& text, const std::string& part) {
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
  }
  TempDir dir_;
};

TEST_P(Fault, AHangingRankIsNamedAndEndsTheRunWithCodeFour) {
  const ProgramResult r = run(SIGSTOP);
  EXPECT_EQ(r.exit_code, 4) << r.output;
  EXPECT_EQ(count(r.output, "\nerror: "), 1u) << r.output;
  EXPECT_THAT(r.output, HasSubstr(GetParam().phase));
  EXPECT_THAT(r.output, HasSubstr("missing " + rank()));
  // Before the run has its directory, a rank knows only what it waits for itself.
  if (GetParam().name != "StartUp") {
    EXPECT_THAT(r.output, HasSubstr("the cause is in " + rank() + " of "));
    EXPECT_THAT(r.output, HasSubstr("\n  " + rank() + " of " + std::to_string(GetParam().layout.ranks) + " ("))
        << "with its coordinates";
  }
  EXPECT_EQ(left(), 0);
}

TEST_P(Fault, ARankThatIsKilledEndsTheRun) {
  const ProgramResult r = run(SIGKILL);
  EXPECT_EQ(r.exit_code, 128 + SIGKILL) << r.output;
  EXPECT_EQ(left(), 0);
}

using FaultInASave = Fault;

// Nothing but checkpoints is left, and the next start goes on from them.
TEST_P(FaultInASave, LeavesADirectoryThatTheNextStartUses) {
  run(SIGKILL);
  const ProgramResult next = Training::shared().train(
      GetParam().layout.ranks, dir_ / "run",
      std::string("--set run.steps=3 --set checkpoint.interval=2 --set eval.interval=0") + GetParam().layout.settings);
  EXPECT_EQ(next.exit_code, 0) << next.output;
  for (const auto& entry : std::filesystem::directory_iterator(dir_ / "run" / "checkpoints")) {
    EXPECT_THAT(entry.path().filename().string(), testing::StartsWith("step-0000000"));
  }
  EXPECT_EQ(left(), 0);
}

using FaultOfAKeptRun = Fault;

// With this option mpirun does not kill the other ranks: they must end by themselves.
TEST_P(FaultOfAKeptRun, ARankThatIsKilledIsNamedByTheOthers) {
  const ProgramResult r = run(SIGKILL, "--enable-recovery");
  EXPECT_EQ(count(r.output, "\nerror: "), 1u) << r.output;
  EXPECT_THAT(r.output, HasSubstr(GetParam().phase));
  EXPECT_THAT(r.output, HasSubstr("missing " + rank()));
  EXPECT_EQ(left(), 0);
}

// MPI_Finalize waits for the hanging rank although no work is left. 75 asks for a restart, so it must stay 75.
TEST(FaultAfterTheRun, AHangingRankDoesNotBlockTheOthers) {
  for (const auto& [settings, code] : {std::pair{"--set run.steps=1", 4}, {"--set run.time_budget_s=0.001", 75}}) {
    const TempDir dir;
    std::string command = Training::shared().command(
        2, dir / "run", std::string(settings) + " --set eval.interval=0 --set parallel.timeout_init_s=4");
    const std::string faulty = std::string(BIRKHOFF_FAULT_TRAIN) + " " + std::to_string(SIGSTOP) + " 1 end 1";
    command.replace(command.find(BIRKHOFF_PROGRAM), std::string(BIRKHOFF_PROGRAM).size(), faulty);
    const ProgramResult run = run_program("timeout -s KILL 120 " + command);
    EXPECT_EQ(run.exit_code, code) << run.output;
    EXPECT_THAT(run.output, HasSubstr("communication error: [rank 0] the end of MPI did not end within 4 s "
                                      "(parallel.timeout_init_s: raise it if that is too short)"));
  }
}

INSTANTIATE_TEST_SUITE_P(At, FaultOfAKeptRun, testing::Values(place("Backward"), place("Save"), place("TpOptimizer")),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(At, FaultInASave, testing::Values(place("TpSave")),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(At, Fault, testing::ValuesIn(kPlaces), [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace birkhoff::test

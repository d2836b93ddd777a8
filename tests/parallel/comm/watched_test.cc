// Ranks that are threads, supervised as the ranks of a run are.
#include "parallel/comm/watched.h"

#include <fstream>
#include <functional>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/dumps.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/host_stream.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr double kDeadline_s = 0.3;

// The groups of a rank of tp2.dp2 in their order: ranks 0, 1 and 2, 3 share tp, ranks 0, 2 and 1, 3 share dp.
struct Groups {
  explicit Groups(Communicator& world)
      : tp(world.split(world.rank() / 2, world.rank(), "tp")), dp(world.split(world.rank() % 2, world.rank(), "dp")) {}
  std::unique_ptr<Communicator> tp, dp;
};

// Collects what the ranks print instead of ending the process.
struct Printed {
  std::mutex mutex;
  std::string text;
  ProcessEnd end() {
    return {.print =
                [this](const std::string& more) {
                  const std::lock_guard lock(mutex);
                  text += more;
                },
            .leave = [](int code) { EXPECT_EQ(code, kExitLostPeer); }};
  }
  std::string get() {
    const std::lock_guard lock(mutex);
    return text;
  }
};

// Runs four ranks and returns what they print. `silent` enters no phase and waits until the others have spoken.
std::string printed_by(int silent, const std::string& folder, const std::function<void(int, Groups&)>& body) {
  Printed printed;
  const auto run = [&](Communicator& comm) {
    WatchedWorld watched(comm, printed.end());
    watched.set_folder(folder);
    Groups groups(watched.world());
    while (comm.rank() == silent && printed.get().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (comm.rank() == silent) return;
    const auto scope = watched.watchdog().guard("step 3", kDeadline_s);
    body(comm.rank(), groups);
  };
  EXPECT_THROW(run_ranks(4, run), CommError);
  return printed.get();
}

TEST(Watched, FollowsTheWaitsThroughTwoGroupsToTheSilentRank) {
  const TempDir dir;
  const std::string text = printed_by(3, dir.path().string(), [](int rank, Groups& groups) {
    if (rank == 2) groups.tp->barrier();
    groups.dp->barrier();
  });
  EXPECT_THAT(text, HasSubstr("error: step 3 did not end within 0.3 s: the cause is in rank 3 of 4, which is silent"));
  EXPECT_THAT(text,
              HasSubstr("rank 0 waits for rank 2: operation 0 of group dp, all_reduce max of 1 u8, missing rank 2"));
  EXPECT_THAT(text,
              HasSubstr("rank 2 waits for rank 3: operation 0 of group tp, all_reduce max of 1 u8, missing rank 3"));
  EXPECT_THAT(text, AllOf(HasSubstr("\n  rank 1 of 4: it has waited "), HasSubstr("\n  rank 3 of 4: silent\n")));
}

// Ranks 0 and 1 call tp first, ranks 2 and 3 call dp first, except that rank 1 calls dp first too.
TEST(Watched, NamesTheRanksThatCallTheirGroupsInDifferentOrders) {
  const TempDir dir;
  const std::string text = printed_by(-1, dir.path().string(), [](int rank, Groups& groups) {
    (rank == 0 || rank == 3 ? groups.tp : groups.dp)->barrier();
    (rank == 0 || rank == 3 ? groups.dp : groups.tp)->barrier();
  });
  EXPECT_THAT(text, HasSubstr("ranks 0, 1, 3, 2 wait for each other"));
  EXPECT_THAT(text, HasSubstr("rank 2 waits for rank 0: operation 0 of group dp"));
}

TEST(Dumps, LeaveOutWhatIsIncompleteOrOfAnotherWorld) {
  const TempDir dir;
  const std::string folder = dir.path().string();
  run_ranks(1, [&](Communicator& world) {
    Trace trace;
    EXPECT_TRUE(write_dump(folder, world, trace, trace.waiting_for(), "why"));
  });
  EXPECT_TRUE(read_dumps(folder, 0, 1).at(0).has_value());
  EXPECT_FALSE(read_dumps(folder, 0, 2).at(0).has_value());
  EXPECT_FALSE(read_dumps(folder, 0, 2).at(1).has_value());
  std::ofstream(dump_path(folder, 0)) << R"({"rank": 0, "size": 1)";
  EXPECT_FALSE(read_dumps(folder, 0, 1).at(0).has_value());
}

}  // namespace
}  // namespace birkhoff

// Ranks that are threads, supervised as the ranks of a run are.
#include "parallel/comm/watched.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "kernels/core/process_tag.h"
#include "parallel/comm/dumps.h"
#include "parallel/comm/forwarding.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/support/host_stream.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

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

// The world, as if its ranks were on hosts of so many ranks.
class OnHosts final : public ForwardingCommunicator {
 public:
  OnHosts(Communicator& inner, int ranks_of_host) : ForwardingCommunicator(inner), ranks_of_host_(ranks_of_host) {}
  int local_rank() const override { return inner().rank() % ranks_of_host_; }
  int local_size() const override { return ranks_of_host_; }
  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override {
    return inner().split(color, key, name);
  }

 private:
  int ranks_of_host_;
};

// What four ranks do that are supervised.
struct Scene {
  std::function<std::string(int rank)> folder;
  std::function<void(int rank, Groups& groups)> body;
  std::vector<int> silent = {};   // enter no phase
  std::vector<int> working = {};  // enter a phase, but no operation in it
  int ranks_of_host = 4;
};

// Runs the scene until a rank has spoken, and returns what the ranks print.
std::string printed_by(const Scene& scene) {
  Printed printed;
  const auto is_in = [](const std::vector<int>& ranks, int rank) {
    return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
  };
  const auto run = [&](Communicator& comm) {
    OnHosts placed(comm, scene.ranks_of_host);
    WatchedWorld watched(placed, printed.end());
    watched.set_folder(scene.folder(comm.rank()));
    watched.set_names({"tp2.dp2", {"tp 0, dp 0", "tp 1, dp 0", "tp 0, dp 1", "tp 1, dp 1"}});
    Groups groups(watched.world());
    const auto until_printed = [&](const std::vector<int>& ranks) {
      if (!is_in(ranks, comm.rank())) return false;
      while (printed.get().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return true;
    };
    if (until_printed(scene.silent)) return;
    const auto scope = watched.watchdog().guard("step 3", kDeadline_s);
    if (!until_printed(scene.working)) scene.body(comm.rank(), groups);
  };
  EXPECT_THROW(run_ranks(4, run), CommError);
  return printed.get();
}

std::function<std::string(int)> shared(const TempDir& dir) {
  return [&](int) { return dir.path().string(); };
}

TEST(Watched, FollowsTheWaitsThroughTwoGroupsToTheSilentRank) {
  const TempDir dir;
  const std::string text = printed_by({.folder = shared(dir),
                                       .body =
                                           [](int rank, Groups& groups) {
                                             if (rank == 2) groups.tp->barrier();
                                             groups.dp->barrier();
                                           },
                                       .silent = {3}});
  EXPECT_THAT(
      text,
      HasSubstr("error: step 3 did not end within 0.3 s: the cause is in rank 3 of 4 (tp 1, dp 1), which is silent"));
  EXPECT_THAT(text,
              HasSubstr("rank 0 waits for rank 2: operation 0 of group dp, all_reduce max of 1 u8, missing rank 2"));
  EXPECT_THAT(text,
              HasSubstr("rank 2 waits for rank 3: operation 0 of group tp, all_reduce max of 1 u8, missing rank 3"));
  EXPECT_THAT(text, AllOf(HasSubstr("\n  rank 1 of 4 (tp 1, dp 0): it has waited "),
                          HasSubstr("\n  rank 3 of 4 (tp 1, dp 1): silent\n"), Not(HasSubstr("another host"))));
}

// Ranks 0 and 1 call tp first, ranks 2 and 3 call dp first, except that rank 1 calls dp first too.
TEST(Watched, NamesTheRanksThatCallTheirGroupsInDifferentOrders) {
  const TempDir dir;
  const std::string text = printed_by({.folder = shared(dir), .body = [](int rank, Groups& groups) {
                                         (rank == 0 || rank == 3 ? groups.tp : groups.dp)->barrier();
                                         (rank == 0 || rank == 3 ? groups.dp : groups.tp)->barrier();
                                       }});
  EXPECT_THAT(text, HasSubstr("ranks 0, 1, 3, 2 wait for each other"));
  EXPECT_THAT(text, HasSubstr("rank 2 waits for rank 0: operation 0 of group dp"));
}

// Each pair of ranks is a host with a folder of its own. Rank 3 is silent; ranks 0 and 1 do not see the dump of rank 2.
TEST(Watched, SaysWhereTheHostsMayNotShareTheFolder) {
  const TempDir dir;
  const auto of_host = [&](int rank) { return (dir.path() / std::to_string(rank / 2)).string(); };
  const std::string text = printed_by({.folder = of_host,
                                       .body =
                                           [](int rank, Groups& groups) {
                                             if (rank == 2) groups.tp->barrier();
                                             groups.dp->barrier();
                                           },
                                       .silent = {3},
                                       .ranks_of_host = 2});
  EXPECT_THAT(text, HasSubstr("rank 0 waits for rank 2: operation 0 of group dp"));
  EXPECT_THAT(text, HasSubstr("\n  rank 2 of 4 (tp 0, dp 1): silent\n"));
  EXPECT_THAT(text, HasSubstr("\nNo rank of another host left a dump in " + (dir.path() / "0").string() +
                              ". If the hosts do not share this folder, those ranks are not silent"));
}

// Rank 1 waits for rank 0, and rank 3 for rank 2.
TEST(Watched, NamesBothRootsOfIndependentHangs) {
  const TempDir dir;
  const std::string text =
      printed_by({.folder = shared(dir), .body = [](int, Groups& groups) { groups.tp->barrier(); }, .working = {0, 2}});
  EXPECT_THAT(text, HasSubstr("the cause is in rank 0 of 4 (tp 0, dp 0), which waits for no other rank"));
  EXPECT_THAT(text, HasSubstr("; a further cause is in rank 2 of 4 (tp 0, dp 1), which waits for no other rank"));
}

TEST(Dumps, NameTheLayoutTheCoordinatesAndTheHost) {
  const TempDir dir;
  const std::string folder = (dir.path() / "missing" / "folder").string();
  run_ranks(2, [&](Communicator& world) {
    const Trace trace;
    EXPECT_TRUE(write_dump({world, trace, folder, {"dp2", {"dp 0", "dp 1"}}}, trace.waiting_for(), "why"));
  });
  const auto dump = nlohmann::json::parse(std::ifstream(dump_path(folder, 1)));
  EXPECT_EQ(dump["layout"], "dp2");
  EXPECT_EQ(dump["coordinates"], "dp 1");
  EXPECT_EQ(dump["host"], host_name());
}

TEST(Dumps, LeaveOutWhatIsIncompleteOrOfAnotherWorld) {
  const TempDir dir;
  const std::string folder = dir.path().string();
  run_ranks(1, [&](Communicator& world) {
    Trace trace;
    EXPECT_TRUE(write_dump({world, trace, folder, {}}, trace.waiting_for(), "why"));
  });
  EXPECT_TRUE(read_dumps(folder, 0, 1).at(0).has_value());
  EXPECT_FALSE(read_dumps(folder, 0, 2).at(0).has_value());
  EXPECT_FALSE(read_dumps(folder, 0, 2).at(1).has_value());
  std::ofstream(dump_path(folder, 0)) << R"({"rank": 0, "size": 1)";
  EXPECT_FALSE(read_dumps(folder, 0, 1).at(0).has_value());
}

}  // namespace
}  // namespace birkhoff

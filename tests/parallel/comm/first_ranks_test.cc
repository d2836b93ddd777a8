#include "parallel/comm/first_ranks.h"

#include <atomic>
#include <thread>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"
#include "parallel/comm/threads/thread_world.h"

namespace birkhoff {
namespace {

using testing::Each;
using testing::StartsWith;

// What each rank of a world of four throws; empty if nothing. A rank that throws an error that was not agreed on aborts
// the world, as the program does.
std::vector<std::string> thrown(int ranks, const std::function<void(Communicator&)>& body) {
  auto world = make_thread_world(4);
  std::vector<std::string> errors(world.size());
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < world.size(); ++rank) {
    threads.emplace_back([&, rank] {
      try {
        run_on_first_ranks(*world[rank], ranks, body);
      } catch (const std::exception& e) {
        errors[rank] = concat(is_agreed(e) ? "agreed: " : "alone: ", e.what());
        if (!is_agreed(e)) world[rank]->abort(e.what(), 3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

TEST(FirstRanks, RunTheBodyWithACommunicatorOfTheirOwn) {
  for (const int ranks : {1, 3, 4}) {
    std::atomic<int> runs = 0;
    const auto errors = thrown(ranks, [&](Communicator& group) {
      ++runs;
      EXPECT_EQ(group.size(), ranks);
      EXPECT_EQ(all_reduce_on_host(group, group.rank() + 1), ranks * (ranks + 1) / 2);
    });
    EXPECT_THAT(errors, Each(""));
    EXPECT_EQ(runs, ranks);
  }
}

TEST(FirstRanks, TellTheWaitingOnesOfAnErrorThatTheyAgreedOn) {
  EXPECT_THAT(thrown(2, [](Communicator& group) { agree(group, group.rank() == 0, "why"); }),
              Each("agreed: rank 0: rank 1: why"));
  EXPECT_THAT(thrown(1, [](Communicator&) { throw UserError("why"); }), Each("agreed: rank 0: why"));
}

TEST(FirstRanks, ReleaseTheWaitingOnesWhereOneFailsAlone) {
  const auto errors = thrown(2, [](Communicator& group) {
    if (group.rank() == 1) throw UserError("why");
    group.barrier();
  });
  EXPECT_EQ(errors[1], "alone: why");
  EXPECT_THAT(errors, Each(StartsWith("alone: ")));
}

}  // namespace
}  // namespace birkhoff

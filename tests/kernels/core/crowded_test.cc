#include "kernels/core/cpu/crowded.h"

#include <chrono>
#include <csignal>
#include <functional>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace birkhoff {
namespace {

// This process and what it starts share one core.
void share_one_core() {
  cpu_set_t mine, one;
  sched_getaffinity(0, sizeof mine, &mine);
  CPU_ZERO(&one);
  for (int core = 0; core < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++core) {
    if (CPU_ISSET(core, &mine)) CPU_SET(core, &one);
  }
  sched_setaffinity(0, sizeof one, &one);
}

bool comes_true(double seconds, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
  }
  return true;
}

TEST(Crowded, WhereAnotherProcessWantsTheCore) {
  if (!can_watch_for_crowds()) GTEST_SKIP() << "the kernel keeps no schedstat";
  share_one_core();
  start_watched_team(1);
  const pid_t other = fork();
  if (other == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (volatile unsigned turns = 0;;) turns = turns + 1;
  }
  EXPECT_TRUE(comes_true(10, is_crowded));
  kill(other, SIGKILL);
  waitpid(other, nullptr, 0);
}

}  // namespace
}  // namespace birkhoff

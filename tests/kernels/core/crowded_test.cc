#include "kernels/core/cpu/crowded.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace birkhoff {
namespace {

// Restricts this process and those that it starts to one core.
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

// Competes for the cores of the calling thread until its parent ends or kills it.
pid_t start_busy_process(bool as_nobody = false) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  if (as_nobody && getuid() == 0 && setuid(65534) != 0) _exit(1);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (volatile unsigned turns = 0;;) turns = turns + 1;
}

// Must run in a process of its own, because it sets a limit. Returns 0 if the watch detected the crowd and the process
// continued.
int crowded_where_no_thread_may_start() {
  setenv(kOurThreadWaits, "bounded", 1);
  start_watched_team(2);
  share_one_core();
  start_busy_process(true);
  const rlimit none{0, 0};
  // root has no limit of processes, so it becomes another user.
  if (setrlimit(RLIMIT_NPROC, &none) != 0 || (getuid() == 0 && setuid(65534) != 0)) return 1;
  if (!comes_true(10, is_crowded)) return 2;
  comes_true(0.5, [] { return false; });
  return 0;
}

// Must be the first test: the other one starts the watch of this process.
TEST(Crowded, DoesNotEndAProcessThatMayStartNoMoreThreads) {
  if (!can_watch_for_crowds()) GTEST_SKIP() << "the kernel keeps no schedstat";
  const pid_t child = fork();
  if (child == 0) _exit(crowded_where_no_thread_may_start());
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(Crowded, IsDetectedIfAnotherProcessWantsTheCore) {
  if (!can_watch_for_crowds()) GTEST_SKIP() << "the kernel keeps no schedstat";
  share_one_core();
  start_watched_team(1);
  const pid_t other = start_busy_process();
  EXPECT_TRUE(comes_true(10, is_crowded));
  kill(other, SIGKILL);
  waitpid(other, nullptr, 0);
}

}  // namespace
}  // namespace birkhoff

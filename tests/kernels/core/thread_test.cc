#include "kernels/core/thread.h"

#include <atomic>
#include <cstring>

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Runs `body` in a process that may start no further process or thread. Returns the message of its UserError, or "".
std::string refused(void (*body)()) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    const rlimit none{0, 0};
    // root has no limit of processes, so it becomes another user.
    const bool limited = setrlimit(RLIMIT_NPROC, &none) == 0 && (getuid() != 0 || setuid(65534) == 0);
    std::string said = limited ? "" : "no limit";
    try {
      if (limited) body();
    } catch (const UserError& e) {
      said = e.what();
    }
    _exit(write(ends[1], said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  close(ends[1]);
  char said[4096];
  const ssize_t bytes = read(ends[0], said, sizeof said);
  close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  return {said, static_cast<size_t>(std::max<ssize_t>(bytes, 0))};
}

TEST(Thread, ThatTheSystemRefusesIsAnErrorThatSaysWhatToDo) {
  const auto said =
      HasSubstr("the system refuses a thread that reads the data: Resource temporarily unavailable. Raise");
  EXPECT_THAT(refused([] { start_thread("reads the data", [] {}).join(); }), AllOf(said, HasSubstr("ulimit -u")));
  EXPECT_THAT(refused([] { run_on_threads(8, "reads the data", [](size_t) {}); }), said);
}

TEST(Thread, OfATeamThatTheSystemRefusesIsTheSameError) {
  EXPECT_THAT(refused([] { start_team(4); }), HasSubstr("the system refuses a thread that computes"));
}

TEST(RunOnThreads, CallsEachIndexOnceAndRethrowsTheLowestError) {
  std::atomic<int> calls[5] = {};
  run_on_threads(5, "counts", [&](size_t i) { ++calls[i]; });
  for (const auto& count : calls) EXPECT_EQ(count, 1);
  try {
    run_on_threads(4, "fails", [](size_t i) { BK_CHECK(i % 2 == 0, i); });
    FAIL();
  } catch (const UserError& e) {
    EXPECT_STREQ(e.what(), "1");
  }
}

TEST(StartTeam, GivesTheThreadsThatWereAskedFor) {
  const int before = num_threads();
  start_team(3);
  EXPECT_EQ(num_threads(), 3);
  set_num_threads(before);
}

}  // namespace
}  // namespace birkhoff

#include "parallel/comm/watchdog.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

namespace birkhoff {
namespace {

using ::testing::IsEmpty;

void sleep_s(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// Collects why the watchdog expired.
struct Expiry {
  std::mutex mutex;
  std::string why;
  Watchdog::OnExpiry callback() {
    return [this](const std::string& reason) {
      const std::lock_guard lock(mutex);
      why = reason;
    };
  }
  std::string get() {
    const std::lock_guard lock(mutex);
    return why;
  }
};

TEST(Watchdog, NamesThePhaseThatOutlastsItsDeadline) {
  Expiry expiry;
  Watchdog watchdog(expiry.callback());
  const auto scope = watchdog.guard("step 12", 0.1);
  for (int i = 0; i < 200 && expiry.get().empty(); ++i) sleep_s(0.02);
  EXPECT_EQ(expiry.get(), "step 12 did not end within 0.1 s");
}

TEST(Watchdog, IsSilentWithoutScopesWithinDeadlinesAndWhereThereIsNone) {
  Expiry expiry;
  Watchdog watchdog(expiry.callback());
  for (int i = 0; i < 3; ++i) {
    const auto scope = watchdog.guard("step", 5);
    sleep_s(0.05);
  }
  {
    const auto scope = watchdog.guard("start-up", 0);
    sleep_s(0.15);
  }
  sleep_s(0.15);
  EXPECT_THAT(expiry.get(), IsEmpty());
}

TEST(Watchdog, ACheckpointDoesNotEatTheDeadlineOfItsStep) {
  Expiry expiry;
  Watchdog watchdog(expiry.callback());
  const auto step = watchdog.guard("step", 0.4);
  {
    const auto checkpoint = watchdog.guard("checkpoint", 60);
    sleep_s(0.6);
  }
  EXPECT_THAT(expiry.get(), IsEmpty());
  for (int i = 0; i < 200 && expiry.get().empty(); ++i) sleep_s(0.02);
  EXPECT_EQ(expiry.get(), "step did not end within 0.4 s");
}

// What standard error holds behind `text` where `full` bytes of a pipe are taken and nobody reads; -1 where it hangs.
ssize_t held_behind(const std::string& text, bool full) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(10);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (full && write(ends[1], "x", 1) == 1) {
    }
    fcntl(ends[1], F_SETFL, 0);
    dup2(ends[1], STDERR_FILENO);
    print_last_words(text);
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  close(ends[1]);
  ssize_t held = 0;
  char bytes[4096];
  for (ssize_t got = 0; (got = read(ends[0], bytes, sizeof bytes)) > 0;) held += got;
  close(ends[0]);
  return status == 0 ? held : -1;
}

TEST(LastWords, AreSaidInFullAndWaitForNoReader) {
  EXPECT_EQ(held_behind(std::string(5000, 'a'), false), 5000);
  EXPECT_GE(held_behind("never read", true), 4096);
  EXPECT_GE(held_behind(std::string(1 << 20, 'a'), false), 4096);
}

}  // namespace
}  // namespace birkhoff

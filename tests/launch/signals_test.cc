#include "launch/signals.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <regex>
#include <set>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

// Runs `body` in a child process; returns its exit code, or 128 plus the number of the signal that ended it.
int in_child(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::set<int> of_use(SignalUse use) {
  std::set<int> numbers;
  for (const SignalRule& rule : kSignals) {
    if (rule.use == use) numbers.insert(rule.number);
  }
  return numbers;
}

TEST(Signals, EverySignalThatEndsAProcessByDefaultHasOneRule) {
  std::set<int> decided;
  for (const SignalRule& rule : kSignals) EXPECT_TRUE(decided.insert(rule.number).second) << rule.name;
  for (int number = 1; number < 32; ++number) {
    const int end = in_child([&] {
      std::signal(number, SIG_DFL);
      const rlimit no_core{0, 0};
      setrlimit(RLIMIT_CORE, &no_core);
      if (number != SIGSTOP && number != SIGTSTP && number != SIGTTIN && number != SIGTTOU) raise(number);
      return 0;
    });
    EXPECT_EQ(decided.contains(number), end != 0) << number;
  }
}

TEST(Signals, ThatAskForAStopAreRequestsEvenIfTheyArriveEarly) {
  for (const int number : of_use(SignalUse::stop)) {
    EXPECT_EQ(in_child([&] {
                hold_stop_signals();
                raise(number);
                catch_stop_requests();
                const bool early = stop_requested();
                release_stop_signals();
                return !early && stop_requested() ? 0 : 1;
              }),
              0)
        << number;
  }
}

TEST(Signals, HupStaysIgnoredWhereItWasAtTheStart) {
  EXPECT_EQ(in_child([] {
              std::signal(SIGHUP, SIG_IGN);
              hold_stop_signals();
              catch_stop_requests();
              release_stop_signals();
              raise(SIGHUP);
              return stop_requested() ? 1 : 0;
            }),
            0);
}

TEST(Signals, OfOtherCommandsEndThem) {
  EXPECT_EQ(in_child([] {
              hold_stop_signals();
              release_stop_signals();
              raise(SIGTERM);
              return 0;
            }),
            128 + SIGTERM);
}

TEST(Signals, OfAClosedPipeAndALargeFileAreErrorsOfTheWrite) {
  const TempDir dir;
  EXPECT_EQ(in_child([] {
              hold_stop_signals();
              int ends[2];
              if (pipe(ends) != 0) return 1;
              close(ends[0]);
              return write(ends[1], "x", 1) < 0 ? errno : 0;
            }),
            EPIPE);
  EXPECT_EQ(in_child([&] {
              hold_stop_signals();
              const rlimit none{0, 0};
              setrlimit(RLIMIT_FSIZE, &none);
              const int file = open((dir / "file").c_str(), O_CREAT | O_WRONLY, 0600);
              return write(file, "x", 1) < 0 ? errno : 0;
            }),
            EFBIG);
}

// Compares with the rows of docs/exit_codes.md: "| HUP | stop | ... |".
TEST(Signals, AreInTheTableForUsers) {
  const char* source = std::getenv("BIRKHOFF_SOURCE_DIR");
  const std::string page = read_file(std::string(source ? source : ".") + "/docs/exit_codes.md");
  for (const SignalRule& rule : kSignals) {
    const char* use = rule.use == SignalUse::stop ? "stop" : rule.use == SignalUse::error ? "error" : "ends at once";
    const std::regex row("\n\\| [A-Z0-9, ]*\\b" + std::string(rule.name) + "\\b[A-Z0-9, ]* \\| " + use + " ");
    EXPECT_TRUE(std::regex_search(page, row)) << rule.name;
  }
}

}  // namespace
}  // namespace birkhoff

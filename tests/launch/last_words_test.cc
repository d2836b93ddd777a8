#include "launch/last_words.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace birkhoff {
namespace {

// Prints `text` in a child process whose standard error is a pipe that nobody reads; with `full`, the pipe is filled
// first. Returns the number of bytes in the pipe, or -1 if the call hangs.
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

TEST(LastWords, ArePrintedInFullButNeverWaitForAReader) {
  EXPECT_EQ(held_behind(std::string(5000, 'a'), false), 5000);
  EXPECT_GE(held_behind("never read", true), 4096);
  EXPECT_GE(held_behind(std::string(1 << 20, 'a'), false), 4096);
}

}  // namespace
}  // namespace birkhoff

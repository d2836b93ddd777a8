#include "trainer/bench/busy_processes.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

[[noreturn]] void keep_busy(pid_t parent) {
  // The process must not outlive its parent. The signal kills it when the parent dies, and the loop ends it if the
  // parent died before the signal was set.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  volatile unsigned turns = 0;
  while (getppid() == parent) {
    for (int i = 0; i < 1 << 20; ++i) turns = turns + 1;
  }
  _exit(0);
}

}  // namespace

BusyProcesses::BusyProcesses(int count) {
  const pid_t parent = getpid();
  for (int i = 0; i < count; ++i) {
    const pid_t pid = fork();
    if (pid == 0) keep_busy(parent);
    if (pid > 0) {
      pids_.push_back(pid);
      continue;
    }
    const int reason = errno;
    stop();
    throw UserError(concat("cannot start a busy process: ", std::strerror(reason)));
  }
}

BusyProcesses::~BusyProcesses() { stop(); }

void BusyProcesses::stop() {
  for (const pid_t pid : pids_) kill(pid, SIGKILL);
  for (const pid_t pid : pids_) waitpid(pid, nullptr, 0);
}

}  // namespace birkhoff

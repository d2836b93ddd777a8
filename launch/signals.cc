#include "launch/signals.h"

#include <atomic>

namespace birkhoff {
namespace {

std::atomic<bool> requested{false};
// A signal handler may only touch lock-free atomics.
static_assert(std::atomic<bool>::is_always_lock_free);
void on_request(int) { requested = true; }

bool is_ignored(int number) {
  struct sigaction now = {};
  return sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const SignalRule& rule : kSignals) {
    if (rule.use == SignalUse::stop) sigaddset(&set, rule.number);
  }
  return set;
}

}  // namespace

void hold_stop_signals() {
  for (const SignalRule& rule : kSignals) {
    if (rule.use == SignalUse::error) std::signal(rule.number, SIG_IGN);
  }
  const sigset_t set = stop_signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

void release_stop_signals() {
  const sigset_t set = stop_signals();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

void catch_stop_requests() {
  struct sigaction action = {};
  action.sa_handler = on_request;
  // A request must not make system calls of libraries fail with EINTR.
  action.sa_flags = SA_RESTART;
  for (const SignalRule& rule : kSignals) {
    if (rule.use != SignalUse::stop || (rule.number == SIGHUP && is_ignored(SIGHUP))) continue;
    sigaction(rule.number, &action, nullptr);
  }
}

bool stop_requested() { return requested; }

}  // namespace birkhoff

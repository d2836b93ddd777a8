#pragma once
// What the program does on each signal whose default action ends a process. docs/exit_codes.md has the table for users.
#include <csignal>
#include <cstdint>

namespace birkhoff {

enum class SignalUse : uint8_t {
  stop,   // a training run writes a checkpoint and ends; other commands end at once, since they have nothing to save
  error,  // ignored: the call that hit the limit fails with an errno, and its caller handles the error
  kill    // ends the process at once: the signal of a defect, or one that is only sent on purpose
};

struct SignalRule {
  int number;
  const char* name;
  SignalUse use;
};

// Real-time signals also count as "kill", since they are only sent on purpose.
inline constexpr SignalRule kSignals[] = {
    // Stays ignored if it was ignored at the start, as nohup does.
    {SIGHUP, "HUP", SignalUse::stop},       {SIGINT, "INT", SignalUse::stop},
    {SIGTERM, "TERM", SignalUse::stop},     {SIGUSR1, "USR1", SignalUse::stop},
    {SIGUSR2, "USR2", SignalUse::stop},     {SIGXCPU, "XCPU", SignalUse::stop},  // ulimit -t, the soft limit
    {SIGALRM, "ALRM", SignalUse::stop},   // from a wrapper that set a timer before it started the program
    {SIGPWR, "PWR", SignalUse::stop},     // the power supply fails
    {SIGPIPE, "PIPE", SignalUse::error},  // EPIPE
    {SIGXFSZ, "XFSZ", SignalUse::error},  // EFBIG, ulimit -f
    {SIGABRT, "ABRT", SignalUse::kill},     {SIGBUS, "BUS", SignalUse::kill},
    {SIGFPE, "FPE", SignalUse::kill},       {SIGILL, "ILL", SignalUse::kill},
    {SIGSEGV, "SEGV", SignalUse::kill},     {SIGSYS, "SYS", SignalUse::kill},
    {SIGTRAP, "TRAP", SignalUse::kill},     {SIGQUIT, "QUIT", SignalUse::kill},  // with a core file
    {SIGKILL, "KILL", SignalUse::kill},     {SIGIO, "IO", SignalUse::kill},
    {SIGPROF, "PROF", SignalUse::kill},  // from a profiler, which handles it
    {SIGVTALRM, "VTALRM", SignalUse::kill}, {SIGSTKFLT, "STKFLT", SignalUse::kill},
};

// To be called first in main(). Ignores the signals of use "error" and blocks those of use "stop" until
// release_stop_signals(), so that an early request is not lost: a blocked signal stays pending, even when the program
// re-executes itself.
void hold_stop_signals();
void release_stop_signals();

// After this call, signals of use "stop" are requests to stop, however often they arrive.
void catch_stop_requests();
bool stop_requested();

}  // namespace birkhoff

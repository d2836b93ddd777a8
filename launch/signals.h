#pragma once
// What the program makes of every signal whose default action ends a process. docs/exit_codes.md has the table for
// users.
#include <csignal>
#include <cstdint>

namespace birkhoff {

enum class SignalUse : uint8_t {
  stop,   // a training run writes a checkpoint and ends; another command ends at once, since it has nothing to save
  error,  // ignored: the call that met the limit fails with an errno, and is judged where it is made
  kill    // ends the process at once: a defect, or somebody who wants that
};

struct SignalRule {
  int number;
  const char* name;
  SignalUse use;
};

// Real-time signals are of use "kill": nothing sends them but who wants that.
inline constexpr SignalRule kSignals[] = {
    // Unless it was ignored at the start: nohup.
    {SIGHUP, "HUP", SignalUse::stop},       {SIGINT, "INT", SignalUse::stop},
    {SIGTERM, "TERM", SignalUse::stop},     {SIGUSR1, "USR1", SignalUse::stop},
    {SIGUSR2, "USR2", SignalUse::stop},     {SIGXCPU, "XCPU", SignalUse::stop},  // ulimit -t, the soft limit
    {SIGALRM, "ALRM", SignalUse::stop},   // of a wrapper that set a timer before it started the program
    {SIGPWR, "PWR", SignalUse::stop},     // the power supply fails
    {SIGPIPE, "PIPE", SignalUse::error},  // EPIPE
    {SIGXFSZ, "XFSZ", SignalUse::error},  // EFBIG, ulimit -f
    {SIGABRT, "ABRT", SignalUse::kill},     {SIGBUS, "BUS", SignalUse::kill},
    {SIGFPE, "FPE", SignalUse::kill},       {SIGILL, "ILL", SignalUse::kill},
    {SIGSEGV, "SEGV", SignalUse::kill},     {SIGSYS, "SYS", SignalUse::kill},
    {SIGTRAP, "TRAP", SignalUse::kill},     {SIGQUIT, "QUIT", SignalUse::kill},  // with a core file
    {SIGKILL, "KILL", SignalUse::kill},     {SIGIO, "IO", SignalUse::kill},
    {SIGPROF, "PROF", SignalUse::kill},  // of a profiler, which handles it
    {SIGVTALRM, "VTALRM", SignalUse::kill}, {SIGSTKFLT, "STKFLT", SignalUse::kill},
};

// First of all: signals of use "error" are ignored, those of use "stop" wait until release_stop_signals(). A signal
// that waits is kept when the program starts itself again.
void hold_stop_signals();
void release_stop_signals();

// From now on signals of use "stop" are requests, once or often.
void catch_stop_requests();
bool stop_requested();

}  // namespace birkhoff

#include "launch/thread_waits.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <string>

#include <sys/auxv.h>
#include <unistd.h>

#include "kernels/core/clock.h"
#include "kernels/core/cpu/crowded.h"
#include "kernels/core/cpu/relax.h"

namespace birkhoff {
namespace {

// A sleeping thread wakes up late, above all on a virtual machine; docs/decisions/waits.md has the figures. So threads
// spin for longer than almost every wait of a step lasts. Next to other programs such a spin would use up the core time
// that the awaited thread needs. In this case the watch in kernels/core/cpu/crowded.h makes them sleep at once. If the
// system does not let us watch, the spin is short instead.
constexpr double kSpin_s = 3e-3, kUnwatchedSpin_s = 50e-6;
// libomp counts in milliseconds, and 0 would mean to sleep at once. The watch has no effect on libomp.
constexpr const char* kBlocktime_ms = "1";

// The number of turns of a spin loop that take as long as a spin should. libgomp limits a spin by a number of turns,
// each with one pause instruction. This instruction takes 10 to 150 cycles depending on the processor, so the time of a
// turn is measured.
long turns_of_spin() {
  constexpr int kTurns = 1000, kTries = 5;
  double fastest_s = 1;
  for (int i = 0; i < kTries; ++i) {
    const double begin_s = now_s();
    for (int turn = 0; turn < kTurns; ++turn) relax();
    fastest_s = std::min(fastest_s, now_s() - begin_s);
  }
  const double spin_s = can_watch_for_crowds() ? kSpin_s : kUnwatchedSpin_s;
  return std::clamp(std::lround(spin_s * kTurns / std::max(fastest_s, 1e-9)), 100L, 1000000L);
}

bool set_by_default(const char* name, const std::string& value) {
  return !std::getenv(name) && setenv(name, value.c_str(), 0) == 0;
}

// With `ld.so birkhoff ...` the kernel considers the loader to be the program. Executing it again would give our
// arguments to the loader.
bool started_by_loader() { return getauxval(AT_BASE) == 0; }

// Executes the program by its path, so that lists of processes show its name, or by the kernel's link if the file is
// gone.
void reexecute(char** argv) {
  constexpr const char* kSelf = "/proc/self/exe";
  std::array<char, PATH_MAX> path{};
  const ssize_t length = readlink(kSelf, path.data(), path.size() - 1);
  if (length > 0 && access(path.data(), X_OK) == 0) execv(path.data(), argv);
  execv(kSelf, argv);
}

}  // namespace

void bound_thread_waits(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") || started_by_loader()) return;
  const bool gnu = set_by_default("GOMP_SPINCOUNT", std::to_string(turns_of_spin()));
  if (gnu) setenv(kOurThreadWaits, "bounded", 1);
  const bool llvm = set_by_default("KMP_BLOCKTIME", kBlocktime_ms);
  // Both variables are set in the new process, so this happens only once. reexecute() returns only if the system
  // refuses it; threads then wait as the library decides.
  if (gnu || llvm) reexecute(argv);
}

}  // namespace birkhoff

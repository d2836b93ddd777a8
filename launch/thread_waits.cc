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

// A thread that sleeps is late when it is woken, most of all on a virtual machine: docs/decisions/waits.md has the
// figures. So threads spin for longer than almost every wait of a step lasts. Beside other programs that would use up
// the share of the cores that the waited-for thread needs: the watch (kernels/core/cpu/crowded.h) has them sleep at
// once there. Where the system gives the watch nothing to see, the spin itself is short.
constexpr double kSpin_s = 3e-3, kUnwatchedSpin_s = 50e-6;
// libomp counts in milliseconds; 0 would be to sleep at once. The watch does not reach it.
constexpr const char* kBlocktime_ms = "1";

// libgomp counts turns, each a pause of the processor, which takes from 10 to 150 cycles.
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

// `ld.so birkhoff ...`: the program that the kernel knows is the loader, which would take the arguments for its own.
bool started_by_loader() { return getauxval(AT_BASE) == 0; }

// By its path, which keeps its name in lists of processes; by the link of the kernel where the file is gone.
void start_again(char** argv) {
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
  if (gnu || llvm) start_again(argv);  // returns where that is refused: then they wait as the library would
}

}  // namespace birkhoff

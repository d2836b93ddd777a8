#include "trainer/run/usable_cores.h"

#include <algorithm>
#include <array>
#include <vector>

#include <sched.h>
#include <unistd.h>

#include "parallel/comm/host_values.h"

namespace birkhoff {
namespace {

struct UsableCores {
  std::array<char, 64> host{};
  cpu_set_t set{};
};

}  // namespace

int threads_of(int64_t asked, Communicator& world) {
  UsableCores mine;
  gethostname(mine.host.data(), mine.host.size() - 1);
  sched_getaffinity(0, sizeof mine.set, &mine.set);
  const std::vector<UsableCores> all = all_gather_on_host(world, mine);
  if (asked > 0) return static_cast<int>(asked);
  double share = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &mine.set)) continue;
    share += 1.0 / static_cast<double>(std::count_if(all.begin(), all.end(), [&](const UsableCores& other) {
               return other.host == mine.host && CPU_ISSET(core, &other.set);
             }));
  }
  // The sum of fractions may fall just short of a whole number by rounding.
  return std::max(1, static_cast<int>(share + 1e-9));
}

}  // namespace birkhoff

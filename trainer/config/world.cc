#include "kernels/core/error.h"
#include "trainer/config/reader.h"

namespace birkhoff {

int64_t check_world(const Config& config, int64_t world_size) {
  const ParallelConfig& p = config.parallel;
  const BatchConfig& b = config.batch;
  const int64_t others = p.tp * p.pp * p.cp;
  BK_CHECK(world_size % others == 0 && (p.dp == 0 || p.dp * others == world_size), "there are ", world_size,
           " ranks, expected parallel dp * tp * pp * cp = ", p.dp, " * ", p.tp, " * ", p.pp, " * ", p.cp,
           "; start another number of ranks, or set parallel.dp to 0");
  // `share` is one microbatch on each replica. Every batch size of the ramp must be a multiple of it.
  const int64_t dp = world_size / others, share = b.micro_batch_size * dp;
  std::string problems;
  auto require = [&](const char* name, int64_t value) {
    if (value % share != 0)
      problems += concat(problems.empty() ? "" : "\n", "batch.", name, " is ", value,
                         ", expected a multiple of micro_batch_size * replicas = ", b.micro_batch_size, " * ", dp,
                         "; change the batch or the number of ranks");
  };
  require("global_batch_size", b.global_batch_size);
  require("ramp.initial_size", b.ramp.initial_size);
  require("ramp.increment", b.ramp.increment);
  BK_CHECK(problems.empty(), problems);
  return dp;
}

}  // namespace birkhoff

#include <malloc.h>

#include "kernels/core/error.h"
#include "launch/cli/commands.h"
#include "launch/guard.h"
#include "parallel/comm/mpi/mpi_world.h"

namespace birkhoff {
namespace {

// By default the allocator raises the size from which it maps a block of its own to that of the largest block freed; a
// few large blocks that come and go then leave holes as large, up to a fifth of the memory of a small model.
void return_large_blocks() {
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

ExitCode run(const std::vector<std::string>& arguments) {
  Cli cli(BIRKHOFF_VERSION);
  for (const auto add : kCommands) add(cli);
  const AnyAction action = cli.parse(arguments);
  if (const auto* alone = std::get_if<Action>(&action)) return (*alone)();
  const auto& parallel = std::get<ParallelAction>(action);
  if (parallel.before) parallel.before();
  MpiWorld mpi;
  return guarded(mpi.world(), [&] { return parallel.run(mpi.world()); });
}

}  // namespace
}  // namespace birkhoff

int main(int argc, char** argv) {
  birkhoff::return_large_blocks();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return static_cast<int>(birkhoff::guarded([&] { return birkhoff::run(arguments); }));
}

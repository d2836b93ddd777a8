#include "kernels/core/error.h"
#include "launch/cli/commands.h"
#include "launch/guard.h"
#include "parallel/comm/mpi/mpi_world.h"

namespace birkhoff {
namespace {

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
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return static_cast<int>(birkhoff::guarded([&] { return birkhoff::run(arguments); }));
}

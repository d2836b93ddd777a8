#include <malloc.h>

#include "kernels/core/error.h"
#include "launch/cli/commands.h"
#include "launch/guard.h"
#include "launch/mpi_start.h"
#include "launch/signals.h"
#include "launch/streams.h"
#include "launch/thread_waits.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/mpi/mpi_world.h"

namespace birkhoff {
namespace {

// glibc gives each block above a threshold a mapping of its own. By default it raises this threshold to the size of the
// largest block freed so far. Large blocks that are allocated and freed later then leave holes in the heap, which take
// up to a fifth of the memory of a small model. Fixed thresholds return such blocks to the system.
void return_large_blocks() {
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

ExitCode run_parallel(const ParallelAction& action) {
  const StartDeadline deadline = action.before ? action.before() : StartDeadline();
  release_stop_signals();
  std::unique_ptr<MpiWorld> mpi = start_mpi(deadline);
  Communicator& world = mpi->world();
  const ExitCode code = guarded(world, [&] {
    const ExitCode result = action.run(world);
    // Output that is a result must be complete on every rank; a log that could not be written is no error.
    if (action.prints == Prints::result) agree(world, check_standard_streams);
    return result;
  });
  end_mpi(std::move(mpi), deadline, code);
  return code;
}

ExitCode run(const std::vector<std::string>& arguments) {
  Cli cli(BIRKHOFF_VERSION);
  for (const auto add : kCommands) add(cli);
  const AnyAction action = cli.parse(arguments);
  if (const auto* serial = std::get_if<SerialAction>(&action)) {
    release_stop_signals();
    const ExitCode code = (*serial)();
    check_standard_streams();
    return code;
  }
  return run_parallel(std::get<ParallelAction>(action));
}

}  // namespace
}  // namespace birkhoff

int main(int argc, char** argv) {
  // The order matters: signals are held before the program executes itself again, and the streams are reserved before
  // any file is opened.
  birkhoff::hold_stop_signals();
  birkhoff::bound_thread_waits(argv);
  birkhoff::reserve_standard_streams();
  birkhoff::return_large_blocks();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return static_cast<int>(birkhoff::guarded([&] { return birkhoff::run(arguments); }));
}

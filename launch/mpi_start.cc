#include "launch/mpi_start.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "kernels/core/error.h"
#include "launch/last_words.h"
#include "parallel/comm/mpi/mpi_world.h"
#include "parallel/comm/watchdog.h"

namespace birkhoff {
namespace {

// The rank according to the launcher's environment, since MPI has not started and cannot be asked.
int launched_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}) {
    if (const char* rank = std::getenv(name)) return std::atoi(rank);
  }
  return 0;
}

// Ends the process after a deadline. The launcher reports the first process that ends and kills the others, so higher
// ranks wait to let the lowest one print.
[[noreturn]] void exit_after_deadline(const std::string& why, ExitCode code) {
  const int rank = launched_rank();
  std::this_thread::sleep_for(std::chrono::milliseconds(std::min(rank * 50, 500)));
  print_last_words(concat("communication error: [rank ", rank, "] ", why,
                          ". Some rank ended or hangs before it, or the ranks cannot reach each other\n"));
  std::_Exit(static_cast<int>(code));
}

}  // namespace

std::unique_ptr<MpiWorld> start_mpi(const StartDeadline& deadline) {
  Watchdog watchdog([](const std::string& why) { exit_after_deadline(why, ExitCode::comm_error); });
  const auto scope = watchdog.guard("the start of MPI", deadline.seconds, deadline.setting);
  return std::make_unique<MpiWorld>();
}

void end_mpi(std::unique_ptr<MpiWorld> mpi, const StartDeadline& deadline, ExitCode code) {
  // The code "done" would be wrong, because MPI did not end in order. Any other code is kept: it tells a script what to
  // do.
  const ExitCode late = code == ExitCode::done ? ExitCode::comm_error : code;
  Watchdog watchdog([late](const std::string& why) { exit_after_deadline(why, late); });
  const auto scope = watchdog.guard("the end of MPI", deadline.seconds, deadline.setting);
  mpi.reset();
}

}  // namespace birkhoff

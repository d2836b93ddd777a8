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

// As the launcher told it; MPI is not there to be asked.
int launched_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}) {
    if (const char* rank = std::getenv(name)) return std::atoi(rank);
  }
  return 0;
}

// The first to end decides what the launcher reports, and ends the others: the lowest rank speaks.
[[noreturn]] void give_up(const std::string& why, ExitCode code) {
  const int rank = launched_rank();
  std::this_thread::sleep_for(std::chrono::milliseconds(std::min(rank * 50, 500)));
  print_last_words(concat("communication error: [rank ", rank, "] ", why,
                          ". Some rank ended or hangs before it, or the ranks cannot reach each other\n"));
  std::_Exit(static_cast<int>(code));
}

}  // namespace

std::unique_ptr<MpiWorld> start_mpi(const StartDeadline& deadline) {
  Watchdog watchdog([](const std::string& why) { give_up(why, ExitCode::comm_error); });
  const auto scope = watchdog.guard("the start of MPI", deadline.seconds, deadline.setting);
  return std::make_unique<MpiWorld>();
}

void end_mpi(std::unique_ptr<MpiWorld> mpi, const StartDeadline& deadline, ExitCode code) {
  const ExitCode late = code == ExitCode::done ? ExitCode::comm_error : code;
  Watchdog watchdog([late](const std::string& why) { give_up(why, late); });
  const auto scope = watchdog.guard("the end of MPI", deadline.seconds, deadline.setting);
  mpi.reset();
}

}  // namespace birkhoff

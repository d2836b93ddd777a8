#pragma once
#include <memory>
#include <string>

#include "launch/exit_codes.h"

namespace birkhoff {

class MpiWorld;

struct StartDeadline {
  double seconds = 300;
  std::string setting = {};  // the setting that gives the deadline, named in the message
};

// Starts MPI. MPI_Init waits for every rank that the launcher announced. If one of them ends or hangs before it calls
// MPI_Init, the wait never ends. So when the deadline passes, this process prints a message and exits with the code of
// a communication error, and the launcher then ends the other ranks.
std::unique_ptr<MpiWorld> start_mpi(const StartDeadline& deadline);

// Finalizes MPI, which waits for every rank as well. When the deadline passes, the process exits with `code`, the exit
// code of the run. If the run was done, it exits with the code of a communication error instead.
void end_mpi(std::unique_ptr<MpiWorld> mpi, const StartDeadline& deadline, ExitCode code);

}  // namespace birkhoff

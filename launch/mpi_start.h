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

// Starts MPI. MPI_Init waits for every rank that the launcher announced, for ever if one of them ended or hangs before
// it. When the deadline passes, this process prints a message and exits with the code of a communication error, upon
// which the launcher ends the other ranks.
std::unique_ptr<MpiWorld> start_mpi(const StartDeadline& deadline);

// Finalizes MPI, which waits for every rank as well. When the deadline passes, the process exits with `code`, the code
// of the run, or with that of a communication error if the run itself was done.
void end_mpi(std::unique_ptr<MpiWorld> mpi, const StartDeadline& deadline, ExitCode code);

}  // namespace birkhoff

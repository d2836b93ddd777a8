#pragma once
#include <memory>
#include <string>

#include "launch/exit_codes.h"

namespace birkhoff {

class MpiWorld;

struct StartDeadline {
  double seconds = 300;
  std::string setting = {};  // what it is raised by
};

// MPI waits in its start for every rank that the launcher announced, for ever where one ended or hangs before. After
// the deadline this process says so and ends with the code of a communication error, and the launcher ends the others.
std::unique_ptr<MpiWorld> start_mpi(const StartDeadline& deadline);

// In its end MPI waits for every rank too. After the deadline the process ends with `code`, that of the run, or with
// that of a communication error where the run had come to its end.
void end_mpi(std::unique_ptr<MpiWorld> mpi, const StartDeadline& deadline, ExitCode code);

}  // namespace birkhoff

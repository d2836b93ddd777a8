#pragma once
#include <source_location>

#include <mpi.h>

namespace birkhoff {

// CommError with MPI's message, unless the code is MPI_SUCCESS.
void check(int mpi_code, std::source_location where = std::source_location::current());

}  // namespace birkhoff

#pragma once
#include <mpi.h>

#include "kernels/core/source_location.h"

namespace birkhoff {

// Throws a CommError with MPI's message unless the code is MPI_SUCCESS.
void check(int mpi_code, SourceLocation where = SourceLocation::current());

}  // namespace birkhoff

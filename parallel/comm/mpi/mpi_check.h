#pragma once
#include <mpi.h>

#include "kernels/core/source_location.h"

namespace birkhoff {

// Throws a CommError with MPI's message unless the code is MPI_SUCCESS.
void check(int mpi_code, SourceLocation where = SourceLocation::current());

// This process's rank in a communicator, and the number of its ranks. CommError as in check().
int rank_in(MPI_Comm comm);
int size_of_comm(MPI_Comm comm);

}  // namespace birkhoff

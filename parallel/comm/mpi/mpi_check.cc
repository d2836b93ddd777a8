#include "parallel/comm/mpi/mpi_check.h"

#include <array>

#include "kernels/core/error.h"

namespace birkhoff {

void check(int mpi_code, SourceLocation where) {
  if (mpi_code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(mpi_code, text.data(), &length);
  throw CommError(concat("MPI: ", text.data(), " (", where.function_name(), ")"));
}

int rank_in(MPI_Comm comm) {
  int rank = 0;
  check(MPI_Comm_rank(comm, &rank));
  return rank;
}

int size_of_comm(MPI_Comm comm) {
  int size = 1;
  check(MPI_Comm_size(comm, &size));
  return size;
}

}  // namespace birkhoff

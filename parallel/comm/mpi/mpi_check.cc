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

}  // namespace birkhoff

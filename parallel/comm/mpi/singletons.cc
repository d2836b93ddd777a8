#include "parallel/comm/mpi/singletons.h"

#include <cstdlib>

#include "kernels/core/error.h"

namespace birkhoff {

std::optional<std::string> singleton_error(int mpi_size, const std::function<const char*(const char*)>& variable) {
  if (mpi_size != 1) return std::nullopt;
  // The first variable that is set decides: it belongs to the launcher nearest to this process.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* text = variable(name);
    if (!text) continue;
    const int announced = std::atoi(text);
    if (announced <= 1) return std::nullopt;
    return concat("the launcher started ", announced, " processes (", name, "), but MPI sees each as a world of its ",
                  "own. Start them with the mpirun of the MPI that birkhoff was built with, or with ",
                  "srun --mpi=pmix.");
  }
  return std::nullopt;
}

}  // namespace birkhoff

#pragma once
#include <functional>
#include <optional>
#include <string>

namespace birkhoff {

// Explains why a world of `mpi_size` ranks cannot be what the launcher meant; nullopt if it can. If a launcher
// announces several ranks but MPI sees one, the launcher has started N separate runs, because the binary was built
// against another MPI. `variable` returns the value of an environment variable, or null.
// With Slurm, only a task of srun counts (SLURM_STEP_NUM_TASKS): SLURM_NTASKS is also set in a batch script, where a
// run of one process is legitimate. If mpirun is in charge, the tasks of srun are its daemons and are ignored.
std::optional<std::string> singleton_error(int mpi_size, const std::function<const char*(const char*)>& variable);

}  // namespace birkhoff

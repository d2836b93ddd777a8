#pragma once
#include <functional>
#include <optional>
#include <string>

namespace birkhoff {

// Why a world of `mpi_size` ranks cannot be what the launcher meant, or nothing. A launcher that announces several
// ranks to a process whose MPI sees one has started N separate runs: the binary was built against another MPI.
// `variable` gives the value of an environment variable, or null.
// Slurm: only a task of srun counts (SLURM_STEP_NUM_TASKS); SLURM_NTASKS is also set in a batch script, where a run of
// one process is legitimate. Where mpirun is in charge, the tasks of srun are its daemons and are not looked at.
std::optional<std::string> singleton_error(int mpi_size, const std::function<const char*(const char*)>& variable);

}  // namespace birkhoff

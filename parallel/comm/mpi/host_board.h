#pragma once
#include <optional>

#include <mpi.h>

#include "parallel/comm/engine/memory_exchange.h"

namespace birkhoff {

// A board in POSIX shared memory for the ranks of `comm`, which are on one host. Its name is gone before this returns,
// so nothing is left behind by a run that is killed later; what was left by one that was killed earlier is removed.
// Nothing, on every rank, where the host grants no such memory (a small
// /dev/shm, ranks in containers of their own). Collective.
std::optional<Board> make_host_board(MPI_Comm comm);

}  // namespace birkhoff

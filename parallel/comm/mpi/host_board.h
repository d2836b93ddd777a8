#pragma once
#include <optional>
#include <string>

#include <mpi.h>

#include "parallel/comm/engine/memory_exchange.h"

namespace birkhoff {

// Makes a board in POSIX shared memory for the ranks of `comm`, which must be on one host. Its name is unlinked before
// this returns, so a run that is killed later leaves nothing behind; leftovers of runs that were killed earlier are
// removed. Returns nullopt, on every rank, if the host does not provide such memory (a small /dev/shm, ranks in
// separate containers), or if a rank would have more than kMostHostMemory_bytes of it. Collective.
std::optional<Board> make_host_board(MPI_Comm comm);

// Adds to groups_without_host_memory().
void note_group_without_host_memory(const std::string& name);

}  // namespace birkhoff

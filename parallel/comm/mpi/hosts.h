#pragma once
#include <optional>
#include <vector>

#include <mpi.h>

#include "parallel/comm/mpi/mpi_communicator.h"

namespace birkhoff {

// Which ranks share a host, as MPI reports it or as a test's transport pretends. All functions are collective.

// The ranks of `comm` on this rank's host, in rank order. The caller frees the communicator.
MPI_Comm ranks_of_host(MPI_Comm comm, Transport transport);

// The number of ranks of each host; nullopt, on every rank, if the ranks of some host are not consecutive. `host` is
// what ranks_of_host returned.
std::optional<std::vector<int>> sizes_of_hosts(MPI_Comm comm, MPI_Comm host);

// All ranks that MPI started, numbered anew so that those of a host are consecutive, whatever the launcher's mapping
// is. The hosts are in the order of their lowest ranks, so rank 0 stays rank 0. The caller frees the communicator.
MPI_Comm world_by_host(Transport transport);

}  // namespace birkhoff

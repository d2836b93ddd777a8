#pragma once
#include <memory>
#include <optional>
#include <string>

#include <mpi.h>

#include "parallel/comm/engine/group_communicator.h"

namespace birkhoff {

// How the data of a group's collectives travels.
enum class Transport : uint8_t {
  automatic,  // through shared memory within a host, by messages between hosts (make_host_carrier)
  messages,   // by messages between all ranks
  // For tests: like automatic, but with pretended hosts of two ranks.
  host_pairs,  // two consecutive ranks of a group are one host
  dealt_pairs  // ranks r and r + n of MPI_COMM_WORLD are one host, where n is the number of hosts
};

// Makes a communicator over `comm` and takes ownership of it. Messages name its ranks by their numbers in the world, of
// which each rank gives its own; without one, `comm` is the world. Collective.
std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm comm, Transport transport, std::shared_ptr<Engine> engine,
                                                    const std::string& name, std::optional<int> world_rank = {});

}  // namespace birkhoff

#pragma once
#include <memory>
#include <string>

#include <mpi.h>

#include "parallel/comm/engine/group_communicator.h"

namespace birkhoff {

// How the data of a group's collectives travels.
enum class Transport : uint8_t {
  automatic,  // through shared memory within a host, by messages between hosts (make_host_carrier)
  messages,   // by messages between all ranks
  host_pairs  // for tests: like automatic, but each pair of ranks is treated as one host
};

// Makes a communicator over `comm` and takes ownership of it. Collective.
std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm comm, Transport transport, std::shared_ptr<Engine> engine,
                                                    const std::string& name);

}  // namespace birkhoff

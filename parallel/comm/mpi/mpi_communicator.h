#pragma once
#include <memory>
#include <string>

#include <mpi.h>

#include "parallel/comm/engine/group_communicator.h"

namespace birkhoff {

// How the collectives of a group travel.
enum class Transport : uint8_t {
  automatic,  // through shared memory within a host, by messages between hosts (make_host_carrier)
  messages,   // every rank with every other
  host_pairs  // as automatic, but as if every two ranks had a host of their own: for tests
};

// A communicator over `comm`, which it takes over. Collective.
std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm comm, Transport transport, std::shared_ptr<Engine> engine,
                                                    const std::string& name);

}  // namespace birkhoff

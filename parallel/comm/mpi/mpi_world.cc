#include "parallel/comm/mpi/mpi_world.h"

#include <cstdlib>
#include <exception>
#include <string_view>

#include <mpi.h>

#include "kernels/core/error.h"
#include "parallel/comm/mpi/hosts.h"
#include "parallel/comm/mpi/mpi_check.h"
#include "parallel/comm/mpi/mpi_communicator.h"
#include "parallel/comm/mpi/singletons.h"

namespace birkhoff {
namespace {

Transport transport_from_environment() {
  const char* text = std::getenv("BIRKHOFF_TRANSPORT");
  if (!text || std::string_view(text) == "automatic") return Transport::automatic;
  if (std::string_view(text) == "host_pairs") return Transport::host_pairs;
  if (std::string_view(text) == "dealt_pairs") return Transport::dealt_pairs;
  BK_CHECK(std::string_view(text) == "messages", "BIRKHOFF_TRANSPORT is '", text,
           "', but must be 'automatic', 'messages', 'host_pairs' or 'dealt_pairs'");
  return Transport::messages;
}

}  // namespace

MpiWorld::MpiWorld() {
  const Transport transport = transport_from_environment();
  int provided = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided));
  try {
    BK_CHECK(provided == MPI_THREAD_MULTIPLE, "this MPI does not support threads (MPI_THREAD_MULTIPLE)");
    const auto refused = singleton_error(size_of_comm(MPI_COMM_WORLD),
                                         [](const char* name) -> const char* { return std::getenv(name); });
    BK_CHECK(!refused, *refused);
  } catch (...) {
    MPI_Finalize();  // all ranks fail alike here, so finalizing does not wait for any
    throw;
  }
  world_ = make_mpi_communicator(world_by_host(transport), transport, std::make_shared<Engine>(), "world");
}

MpiWorld::~MpiWorld() {
  if (std::uncaught_exceptions() > 0) return;
  world_.reset();
  MPI_Finalize();
}

}  // namespace birkhoff

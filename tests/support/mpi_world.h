#pragma once
#include "parallel/comm/communicator.h"

namespace birkhoff {

// The world of a test that runs under mpirun, made by mpi_main.cc.
Communicator& mpi_test_world();

}  // namespace birkhoff

#pragma once
#include "parallel/comm/communicator.h"

namespace birkhoff {

// The world communicator of a test that runs under mpirun. Created by mpi_main.cc.
Communicator& mpi_test_world();

}  // namespace birkhoff

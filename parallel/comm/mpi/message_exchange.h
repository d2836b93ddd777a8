#pragma once
#include <memory>

#include <mpi.h>

#include "parallel/comm/engine/exchange.h"

namespace birkhoff {

// Carries out steps by MPI messages, for ranks on several hosts. In each step every rank sends one message to every
// other rank, with a header and a block, whatever the operation is. So a mismatch is found in the step in which it
// happens, without extra messages. Takes ownership of `comm`, which nobody else may use.
std::unique_ptr<Exchange> make_message_exchange(MPI_Comm comm);

}  // namespace birkhoff

#pragma once
#include <memory>

#include <mpi.h>

#include "parallel/comm/engine/exchange.h"

namespace birkhoff {

// Steps by MPI messages, for ranks on several hosts: in each step every rank sends one message to every other, a header
// and its block, whatever the operation is. So a mismatch is found where it happens and costs no message of its own.
// Takes over `comm`, which nobody else may use.
std::unique_ptr<Exchange> make_message_exchange(MPI_Comm comm);

}  // namespace birkhoff

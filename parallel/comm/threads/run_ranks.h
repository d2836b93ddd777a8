#pragma once
#include <functional>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// Runs `body` on `ranks` threads, each with its world communicator and one compute thread. If a rank fails, its peers
// are released from their waits. The first error that is not just the consequence of another rank's failure is rethrown
// as an error of its class (std::bad_alloc without a message) with the message "rank 2: ...". An error that all ranks
// agreed on keeps its message.
void run_ranks(int ranks, const std::function<void(Communicator&)>& body);

}  // namespace birkhoff

#pragma once
#include <functional>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// Runs `body` on `ranks` threads, each with its world communicator and one compute thread. If ranks fail, their peers
// are freed, and the error of the first that failed by itself is rethrown, as Error("rank 2: ...") of its class.
void run_ranks(int ranks, const std::function<void(Communicator&)>& body);

}  // namespace birkhoff

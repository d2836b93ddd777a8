#pragma once
#include <functional>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// Runs `body` on the first `ranks` ranks of the world, each with the communicator of these ranks, while the others wait
// until it has ended: run_ranks() (parallel/comm/threads/run_ranks.h) for ranks that are processes. Collective over
// the world. An error that all of these ranks agreed on, and any error of a single rank, is thrown on every rank of the
// world as agree() does. Any other error leaves peers in the body waiting, so it is thrown as it is, and whoever
// catches it must abort the world.
void run_on_first_ranks(Communicator& world, int ranks, const std::function<void(Communicator&)>& body);

}  // namespace birkhoff

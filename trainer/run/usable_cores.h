#pragma once
#include <cstdint>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// How many threads this rank runs: `asked` if it is above 0; else the cores that it may use, each divided by the ranks
// of its host that may use it too. That is the cores of the host divided by its ranks, or those that the launcher bound
// the rank to. Collective.
int threads_of(int64_t asked, Communicator& world);

}  // namespace birkhoff

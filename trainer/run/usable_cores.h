#pragma once
#include <cstdint>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// The number of threads for this rank: `asked` if it is positive. Otherwise the sum, over the cores that this rank may
// use, of 1 / (number of ranks of this host that may use the core). So the ranks share the cores of the host evenly, or
// each takes the cores that the launcher bound it to. Collective.
int threads_of(int64_t asked, Communicator& world);

}  // namespace birkhoff

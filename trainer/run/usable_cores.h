#pragma once
#include <cstdint>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// The number of threads for this rank: `asked` if it is positive. Otherwise each core that the rank may use counts as
// one divided by the number of ranks of the same host that may use it too. So the ranks share the cores of the host
// evenly, or each takes the cores that the launcher bound it to. Collective.
int threads_of(int64_t asked, Communicator& world);

}  // namespace birkhoff

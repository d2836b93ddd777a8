#pragma once
#include <memory>
#include <vector>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// The world communicators of `ranks` ranks that are threads of this process. Element r must be used by the thread of
// rank r. Data moves directly between the ranks' buffers. abort() makes every pending and later operation of the other
// ranks throw CommError.
std::vector<std::unique_ptr<Communicator>> make_thread_world(int ranks);

}  // namespace birkhoff

#pragma once
#include <vector>

#include "parallel/comm/communicator.h"
#include "trainer/config/config.h"
#include "trainer/plan/memory.h"

namespace birkhoff {

// Checks that there is room for training with all of these layouts at the same time, as planned for this rank times the
// ranks of its host. Without communication. model.vocab_size is set, and the layouts give dp.
// Errors: UserError with the bytes of each layout.
void check_room(const Communicator& world, const Config& config, const std::vector<MeshDegrees>& layouts,
                const MemoryRoom& room = memory_room());

}  // namespace birkhoff

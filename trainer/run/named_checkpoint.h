#pragma once
#include <filesystem>
#include <string>

#include "parallel/comm/communicator.h"
#include "trainer/checkpoint/reader.h"

namespace birkhoff {

// The valid checkpoint that a user named by `option`, "checkpoint.resume (--resume):". Collective.
// Errors: UserError if the path is a run's directory or one of checkpoints, naming the newest in it; DataError if it is
// no valid checkpoint.
Found named_checkpoint(Communicator& replicas, const std::string& option, const std::filesystem::path& path);

}  // namespace birkhoff

#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "trainer/checkpoint/reader.h"
#include "trainer/run/session.h"

namespace birkhoff {

// The valid checkpoint that a user named by `option`, "checkpoint.resume (--resume):". Collective.
// Errors: UserError if the path is a run's directory or one of checkpoints, naming the newest in it; DataError if it is
// no valid checkpoint.
Found named_checkpoint(Communicator& world, const std::string& option, const std::filesystem::path& path);
// The checkpoint that checkpoint.resume asks for; nothing to start anew. Collective.
std::optional<Found> find_checkpoint(const Session& session);
// Compares the configuration of the checkpoint with this run's, prints what changed, refuses what may not, and loads
// the state. Collective.
Progress resume_from(Session& session, const Found& found);
// Whether the checkpoint is the one that a later start finds in the run's directory as that of its step, in whatever
// way its path is written. One that was set aside, or a copy of another name, is not. Collective.
bool is_of_this_run(const Session& session, const Found& found);

}  // namespace birkhoff

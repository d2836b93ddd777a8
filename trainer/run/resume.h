#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "trainer/checkpoint/reader.h"
#include "trainer/run/session.h"

namespace birkhoff {

// The valid checkpoint that the user named by `option`, such as "checkpoint.resume (--resume):". Collective.
// Errors: UserError if the path is the directory of a run or of its checkpoints; the message names the newest
// checkpoint in it. DataError if the path is not a valid checkpoint.
Found named_checkpoint(Communicator& world, const std::string& option, const std::filesystem::path& path);
// The checkpoint that checkpoint.resume asks for, or nullopt to start a new run. Collective.
std::optional<Found> find_checkpoint(const Session& session);
// Compares the checkpoint's configuration with this run's, logs what changed, refuses changes that are not allowed, and
// loads the state. Collective.
Progress resume_from(Session& session, const Found& found);
// Whether a later start with checkpoint.resume=auto would find this very folder as the checkpoint of its step, however
// its path is written. False for an abandoned checkpoint and for a copy under another name. Collective.
bool is_of_this_run(const Session& session, const Found& found);

}  // namespace birkhoff

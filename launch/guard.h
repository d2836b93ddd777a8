#pragma once
#include <functional>

#include "launch/exit_codes.h"
#include "parallel/comm/communicator.h"

namespace birkhoff {

// The outermost error handler of the program. Runs `body` and returns its exit code. If it throws, prints the message
// to standard error and returns the exit code of the error's class. An error that all ranks have
// (parallel/comm/agree.h) is printed by rank 0 only, and no peer is aborted; after any other error world.abort() frees
// the peers.
ExitCode guarded(Communicator& world, const std::function<ExitCode()>& body) noexcept;

// The same for a process without peers.
ExitCode guarded(const std::function<ExitCode()>& body) noexcept;

}  // namespace birkhoff

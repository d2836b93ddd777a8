#pragma once
#include <functional>

#include "launch/exit_codes.h"
#include "parallel/comm/communicator.h"

namespace birkhoff {

// The outermost error handler of the program. Runs `body` and returns its exit code. If it throws, prints the message
// to standard error and returns the exit code of the error's class. If all ranks agreed on the error
// (parallel/comm/agree.h), only rank 0 prints it, and no peer is aborted. After any other error, world.abort() ensures
// that no peer keeps waiting for this rank.
ExitCode guarded(Communicator& world, const std::function<ExitCode()>& body) noexcept;

// The same for a process without peers.
ExitCode guarded(const std::function<ExitCode()>& body) noexcept;

}  // namespace birkhoff

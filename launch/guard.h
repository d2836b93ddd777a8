#pragma once
#include <functional>

#include "launch/exit_codes.h"
#include "parallel/comm/communicator.h"

namespace birkhoff {

// The only catch of the program. Runs `body` and returns its exit code, or that of the class of error it threw, whose
// message it prints to standard error. An error that all ranks have (parallel/comm/agree.h) is printed by rank 0 and
// ends no peer; after any other the peers are freed by world.abort.
ExitCode guarded(Communicator& world, const std::function<ExitCode()>& body) noexcept;

// The same for a process without peers.
ExitCode guarded(const std::function<ExitCode()>& body) noexcept;

}  // namespace birkhoff

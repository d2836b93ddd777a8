#pragma once
#include <functional>
#include <string>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// All ranks succeed or fail together. Runs `body` and compares: if it threw on any rank, the message of the lowest
// failing rank, behind "rank N: " where there are several ranks, is thrown on every rank, its class (UserError,
// DataError, BugError, CommError) kept. Collective: every rank must come here.
void agree(Communicator& comm, const std::function<void()>& body);

// The same with the outcome given. `message` is used where `ok` is false, and thrown as UserError.
void agree(Communicator& comm, bool ok, const std::string& message);

// Throws UserError on every rank unless `text` is the same on all; names the first rank that differs from rank 0.
void require_same(Communicator& comm, const std::string& what, const std::string& text);

}  // namespace birkhoff

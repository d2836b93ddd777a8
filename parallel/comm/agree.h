#pragma once
#include <exception>
#include <functional>
#include <string>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// All ranks succeed or fail together. Runs `body` on every rank and compares: if it threw on any, every rank throws the
// message of the lowest failing rank, behind "rank N: " if there are several ranks, its class (UserError, DataError,
// CommError, else BugError) kept. Collective, and `body` must not leave a peer waiting inside it.
void agree(Communicator& comm, const std::function<void()>& body);

// The same with the outcome known; `message` is a UserError.
void agree(Communicator& comm, bool ok, const std::string& message);

// Every rank throws UserError unless `text` is the same on all; the message names the first rank that differs from 0.
void require_same(Communicator& comm, const std::string& what, const std::string& text);

// Base of every error thrown by the functions above. Since all ranks have it, one of them should print it and none need
// abort the others.
class Agreed {
 public:
  virtual ~Agreed() = default;
};
bool is_agreed(const std::exception& error);

}  // namespace birkhoff

#pragma once
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// All ranks succeed or fail together. Runs `body` on every rank and compares: if it threw on any, every rank throws the
// message of the lowest failing rank, behind "rank N: " if there are several ranks, its class (UserError, DataError,
// CommError, std::bad_alloc without a message, else BugError) kept. Collective, and `body` must not leave a peer
// waiting inside it.
void agree(Communicator& comm, const std::function<void()>& body);

// The same with the outcome known; `message` is a UserError.
void agree(Communicator& comm, bool ok, const std::string& message);

// Every rank throws UserError unless `text` is the same on all; the message names the first rank that differs from 0.
void require_same(Communicator& comm, const std::string& what, const std::string& text);

// Every rank's text, in rank order, on every rank.
std::vector<std::string> gather_texts(Communicator& comm, const std::string& text);

// Throws a CommError that all ranks throw alike, each from what it knows: as agree() does, without a message to a peer.
[[noreturn]] void throw_on_all(const std::string& message);

// Base of every error thrown by the functions above. Since all ranks have it, one of them should print it and none need
// abort the others.
class Agreed {
 public:
  virtual ~Agreed() = default;
};
bool is_agreed(const std::exception& error);

}  // namespace birkhoff

#pragma once
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"

namespace birkhoff {

// All ranks succeed or fail together. Runs `body` on every rank and compares the outcomes. If it threw on any rank,
// every rank throws the error of the lowest failing rank: its class (UserError, DataError, CommError, std::bad_alloc
// without a message, otherwise BugError), and its message, with "rank N: " in front unless all ranks failed alike.
// Collective. If `body` throws on one rank, no other rank may be left waiting for that rank inside its own `body`.
void agree(Communicator& comm, const std::function<void()>& body);

// The same for an outcome that is already known. A rank where `ok` is false fails with UserError(message).
void agree(Communicator& comm, bool ok, const std::string& message);

// Every rank throws UserError unless `text` is the same on all ranks. The message names the first rank that differs
// from rank 0.
void require_same(Communicator& comm, const std::string& what, const std::string& text);

// Every rank's text, in rank order, on every rank.
std::vector<std::string> gather_texts(Communicator& comm, const std::string& text);

// Throws a CommError like agree() does (is_agreed() is true for it), but without communication. Every rank must call
// it, because each has found the same failure by itself.
[[noreturn]] void throw_on_all(const std::string& message);

// Base of every error thrown by the functions above. All ranks throw such an error together, so one of them should
// print it, and none needs to abort the others.
class Agreed {
 public:
  virtual ~Agreed() = default;
};
bool is_agreed(const std::exception& error);

}  // namespace birkhoff

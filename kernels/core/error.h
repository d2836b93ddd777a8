#pragma once
// The four kinds of error, and the two macros that raise them. Libraries never print and never exit: launch/guard.cc
// catches these errors at the top of the program and turns their classes into exit codes (docs/exit_codes.md).
#include <sstream>
#include <stdexcept>
#include <string>

namespace birkhoff {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Something the user gave is wrong. The message says what was given, what was expected, and what to do.
class UserError : public Error {
 public:
  using Error::Error;
};

// A bug in this program. The message carries file, line and the failed expression.
class BugError : public Error {
 public:
  using Error::Error;
};

// A peer is gone, disagrees, or missed a deadline. The message names the peer, the operation and the sequence number.
class CommError : public Error {
 public:
  using Error::Error;
};

// Stored state cannot be used: there is no valid checkpoint, or a data file is refused. The message names file, item,
// expected and found.
class DataError : public Error {
 public:
  using Error::Error;
};

// Joins values that have operator<< into one string.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// File and line default to those of the caller; clang 14 has no std::source_location with the library of GCC 12.
[[noreturn]] void throw_bug(const char* expression, const std::string& message, const char* file = __builtin_FILE(),
                            int line = __builtin_LINE());

}  // namespace birkhoff

// Throws UserError, its message joined from the remaining arguments, unless the condition holds.
#define BK_CHECK(condition, ...)                                    \
  do {                                                              \
    if (!(condition)) [[unlikely]]                                  \
      throw ::birkhoff::UserError(::birkhoff::concat(__VA_ARGS__)); \
  } while (0)

// Throws BugError with file, line and expression unless the condition holds. The remaining arguments are appended to
// the message.
#define BK_ASSERT(condition, ...)                                                           \
  do {                                                                                      \
    if (!(condition)) [[unlikely]]                                                          \
      ::birkhoff::throw_bug(#condition, ::birkhoff::concat("" __VA_OPT__(, ) __VA_ARGS__)); \
  } while (0)

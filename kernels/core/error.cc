#include "kernels/core/error.h"

namespace birkhoff {

void throw_bug(const char* expression, const std::string& message, const char* file, int line) {
  throw BugError(concat(file, ":", line, ": assertion failed: ", expression, message.empty() ? "" : ": ", message));
}

}  // namespace birkhoff

#include "kernels/core/error.h"

namespace birkhoff {

void throw_bug(const char* expression, const std::string& message, SourceLocation where) {
  throw BugError(concat(where.file_name(), ":", where.line(), ": assertion failed: ", expression,
                        message.empty() ? "" : ": ", message));
}

}  // namespace birkhoff

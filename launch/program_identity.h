#pragma once
#include <string>

namespace birkhoff {

// Identifies the binary by its version and the digest of its bytes; all ranks of a command must have the same.
std::string program_identity();

}  // namespace birkhoff

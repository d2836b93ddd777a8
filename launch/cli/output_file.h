#pragma once
#include <string>

namespace birkhoff {

// Checks that a file that an option names can be made or replaced: it is a regular file, or does not exist.
// Errors: UserError that names the option.
void check_output_file(const std::string& option, const std::string& path);

}  // namespace birkhoff

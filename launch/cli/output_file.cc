#include "launch/cli/output_file.h"

#include <filesystem>

#include "kernels/core/error.h"

namespace birkhoff {

void check_output_file(const std::string& option, const std::string& path) {
  std::error_code missing;
  const auto there = std::filesystem::status(path, missing).type();
  BK_CHECK(there == std::filesystem::file_type::not_found || there == std::filesystem::file_type::regular, option,
           " is ", path, ", which is no regular file; name a file");
}

}  // namespace birkhoff

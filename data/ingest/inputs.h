#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/file/regular_file.h"
#include "kernels/core/error.h"

namespace birkhoff {

// Receives one short sentence at a time about what a command reads and what it skips. May be empty.
using Log = std::function<void(const std::string& note)>;

// A path for use in messages and reports: ASCII control characters and bytes that are not UTF-8 are replaced by \xHH.
std::string shown(const std::filesystem::path& path);

// Returns the regular files among `paths` and those inside the folders among `paths`, sorted by path within each
// folder. A file that is named more than once, in whatever spelling, is listed once. Inside a folder the following are
// skipped and reported to the log: hidden entries, datasets of our own, links to folders, dangling links, anything that
// is neither a file nor a folder (such as a pipe), and the folder `output`. If `output` is empty, there is no such
// folder.
//
// Errors: UserError names a path that does not exist or is one of our own datasets, or says that there is no file at
//         all. DataError names a path that is a pipe, socket or device. IoError names a path that cannot be accessed,
//         and the reason.
std::vector<std::filesystem::path> find_inputs(const std::vector<std::string>& paths,
                                               const std::filesystem::path& output, const Log& log);

// Calls body(), and converts an error of std::filesystem into an IoError that names the path.
template <class Body>
auto with_io_errors(Body body) {
  try {
    return body();
  } catch (const std::filesystem::filesystem_error& error) {
    throw IoError(concat(shown(error.path1()), ": ", error.code().message()), error.code().value());
  }
}

}  // namespace birkhoff

#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/file/regular_file.h"
#include "kernels/core/error.h"

namespace birkhoff {

// Told one short sentence at a time of what a command reads and leaves out. May be empty.
using Log = std::function<void(const std::string& note)>;

// A path as messages and reports show it: control characters and bytes that are not UTF-8 become \xHH.
std::string shown(const std::filesystem::path& path);

// The regular files among `paths` and below the folders among them, each folder's sorted by their paths. A file that is
// named twice, however, is in the list once. Below a folder these are passed over, and the log is told: hidden entries,
// datasets of our own, links to folders, links to nothing, pipes and the like, and the folder `output`, which may be
// empty.
// Errors: UserError names a path that does not exist or is a dataset of our own, or says that there is no file at all;
//         IoError names a path that cannot be looked at and the reason.
std::vector<std::filesystem::path> find_inputs(const std::vector<std::string>& paths,
                                               const std::filesystem::path& output, const Log& log);

// Calls body(), and turns an error of std::filesystem into the IoError that names its path.
template <class Body>
auto with_io_errors(Body body) {
  try {
    return body();
  } catch (const std::filesystem::filesystem_error& error) {
    throw IoError(concat(shown(error.path1()), ": ", error.code().message()), error.code().value());
  }
}

}  // namespace birkhoff

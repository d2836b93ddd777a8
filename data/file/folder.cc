#include "data/file/folder.h"

#include "data/file/regular_file.h"

namespace birkhoff {

namespace fs = std::filesystem;

void make_folder(const fs::path& path) {
  std::error_code error, ignored;
  fs::create_directories(path, error);
  // Some implementations of create_directories() report no error if the path exists and is not a folder.
  if (!error && !fs::is_directory(path, error) && !error) error = std::make_error_code(std::errc::not_a_directory);
  if (!error) return;
  // Look for the dangling link on the way down, to name the path that the user has to repair.
  for (fs::path above; const fs::path& part : path) {
    above /= part;
    if (fs::is_symlink(above, ignored) && !fs::exists(above, ignored)) {
      throw IoError(concat(path.string(), ": cannot be made: ", above.string(), " is a symbolic link to nothing"),
                    error.value());
    }
  }
  throw IoError(concat(path.string(), ": cannot be made: ", error.message()), error.value());
}

}  // namespace birkhoff

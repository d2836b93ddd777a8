#pragma once
#include <filesystem>

namespace birkhoff {

// Creates a folder and its missing parents. An existing folder is fine.
// Errors: IoError "PATH: cannot be made: REASON". A dangling symbolic link is named as such, because the system reports
//         only that the file exists.
void make_folder(const std::filesystem::path& path);

}  // namespace birkhoff

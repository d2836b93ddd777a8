#pragma once
#include <filesystem>

namespace birkhoff {

// Makes a folder and those above it, where they are not there yet.
// Errors: IoError "PATH: cannot be made: REASON"; a link that leads to nothing is named as such, since the system says
//         only that the file exists.
void make_folder(const std::filesystem::path& path);

}  // namespace birkhoff

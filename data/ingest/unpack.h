#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace birkhoff {

// How much text one file may hold: a file of a few bytes can unpack to more than there is memory.
struct UnpackLimits {
  int64_t max_bytes = 0;  // packed and unpacked; 0: the memory of this host that is free, and half of it
};

// The file's bytes, unpacked if they begin as gzip (.gz, .dz) or zstd do.
// Errors: DataError if they are damaged or have more than the limit; a size that the file itself declares is compared
//         before any memory is taken. IoError if the file cannot be read.
std::string read_unpacked(const std::filesystem::path& path, UnpackLimits limits = {});

// The same of bytes that were read before; `name` is for messages.
std::string unpack(std::string bytes, const std::filesystem::path& name, int64_t max_bytes);

// The first bytes of what read_unpacked() returns, some thousands of them at most; damage shows there, not here.
std::string read_unpacked_head(const std::filesystem::path& path);

}  // namespace birkhoff

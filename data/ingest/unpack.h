#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace birkhoff {

// Limits the text of one file, since a file of a few bytes can unpack to more than fits in memory.
struct UnpackLimits {
  // Applies to the size of the file and to that of its unpacked text. 0 means the free memory of this host for the
  // former, and half of it for the latter.
  int64_t max_bytes = 0;
};

// Returns the bytes of a file, unpacked if they begin like gzip (.gz, .dz) or zstd data.
// Errors: DataError if they are damaged or exceed the limit. If the file itself declares its unpacked size, that size
//         is checked before any memory is allocated for it. IoError if the file cannot be read.
std::string read_unpacked(const std::filesystem::path& path, UnpackLimits limits = {});

// The same for bytes that are in memory already. `name` is for messages.
std::string unpack(std::string bytes, const std::filesystem::path& name, int64_t max_bytes);

// The first bytes of what read_unpacked() returns, at most 64 KiB. Damage is not reported here but by read_unpacked().
std::string read_unpacked_head(const std::filesystem::path& path);

}  // namespace birkhoff

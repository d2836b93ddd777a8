#pragma once
// The one place that opens files for reading. All readers of user files and of the project's own files go through it,
// so that a path that names a pipe, a device or a folder gives an error instead of a read that never ends.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "kernels/core/error.h"

namespace birkhoff {

// The operating system refused to open, read or write a file. `code` is errno (ENOENT, ENOSPC, EIO, ...).
class IoError : public DataError {
 public:
  IoError(const std::string& message, int code) : DataError(message), code_(code) {}
  int code() const { return code_; }
  bool disk_full() const;

 private:
  int code_;
};

// Opens a regular file for reading and returns its descriptor, which the caller closes. Follows symbolic links. Never
// blocks.
// Errors: UserError if the process has no descriptor or memory left: this says nothing about the file, and the caller
//         must not take it for damaged. IoError "PATH: no such file" or "PATH: cannot open for reading: REASON".
//         DataError "PATH: is a pipe, expected a regular file" if the path names something else.
int open_regular_file(const std::filesystem::path& path);

// The size of a regular file in bytes. Errors: those of open_regular_file().
int64_t regular_file_bytes(const std::filesystem::path& path);

// Default limit of read_regular_file(). No file in one of our own text formats comes near it.
inline constexpr int64_t kMaxTextFileBytes = int64_t{1} << 30;

// Reads a whole file.
// Errors: those of open_regular_file(). DataError if the file has more than `max_bytes`. If its reported size exceeds
//         the limit, no memory is allocated first. IoError if reading fails.
std::string read_regular_file(const std::filesystem::path& path, int64_t max_bytes = kMaxTextFileBytes);

// Whether `name` can only denote an entry of one folder: it is not empty, not "." or "..", and has no '/' and no zero
// byte. Names in our files (such as shard names in dataset.json) are relative to the folder of that file, and must not
// lead out of it.
bool is_plain_name(std::string_view name);

}  // namespace birkhoff

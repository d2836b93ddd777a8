#pragma once
// The one place that opens files to read them. Every reader of the project's own files and of the user's files goes
// through it, so that a path which names a pipe, a device or a folder is an error and never a read that does not end.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "kernels/core/error.h"

namespace birkhoff {

// The operating system refused to open, read or write a file: code is errno (ENOENT, ENOSPC, EIO, ...).
class IoError : public DataError {
 public:
  IoError(const std::string& message, int code) : DataError(message), code_(code) {}
  int code() const { return code_; }
  bool disk_full() const;

 private:
  int code_;
};

// A file descriptor of a regular file, opened for reading; the caller closes it. Symbolic links are followed.
// Errors: UserError where the process may open no more files or has no memory, which says nothing of the file, so that
//         nobody may take it for damaged; IoError "PATH: no such file" or "PATH: cannot open for reading: REASON";
//         DataError "PATH: is a pipe, expected a regular file" where the path names something else. Never blocks.
int open_regular_file(const std::filesystem::path& path);

// The size of a regular file. Errors: those of open_regular_file().
int64_t regular_file_bytes(const std::filesystem::path& path);

// The size at which read_regular_file() refuses a file that one of our own formats could not have made.
inline constexpr int64_t kMaxTextFileBytes = int64_t{1} << 30;

// All bytes of a regular file. Errors: those of open_regular_file(); DataError where it has more than `max_bytes`,
// before any memory is taken; IoError where reading fails.
std::string read_regular_file(const std::filesystem::path& path, int64_t max_bytes = kMaxTextFileBytes);

// Whether a name that a file of ours mentions can only mean an entry of that file's own folder: not empty, not "." or
// "..", no '/' and no byte 0.
bool is_plain_name(std::string_view name);

}  // namespace birkhoff

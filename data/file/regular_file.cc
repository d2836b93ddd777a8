#include "data/file/regular_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace birkhoff {
namespace {

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "folder";
  if (S_ISFIFO(mode)) return "pipe";
  if (S_ISSOCK(mode)) return "socket";
  return "device";
}

// Closes a descriptor when the scope ends.
struct Descriptor {
  int fd;
  ~Descriptor() { ::close(fd); }
};

[[noreturn]] void refuse(const std::filesystem::path& path, const char* action, int code) {
  // Running out of descriptors or memory is a UserError: callers may take a DataError, which IoError is, for a defect
  // of the file.
  if (code == ENOENT) throw IoError(path.string() + ": no such file", code);
  const char* wanting = code == EMFILE || code == ENFILE ? "raise the limit of open files (ulimit -n)"
                        : code == ENOMEM                 ? "free some memory"
                                                         : nullptr;
  if (wanting) throw UserError(concat(path.string(), ": cannot ", action, ": ", std::strerror(code), "; ", wanting));
  throw IoError(concat(path.string(), ": cannot ", action, ": ", std::strerror(code)), code);
}

}  // namespace

bool IoError::disk_full() const { return code_ == ENOSPC || code_ == EDQUOT; }

int open_regular_file(const std::filesystem::path& path) {
  // Without O_NONBLOCK, opening a pipe without a writer would block. The flag has no effect on reads of a regular file.
  // Without O_NOCTTY, opening a terminal could make it the controlling terminal of this process.
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  // open() fails on a socket with ENXIO, whose message ("No such device or address") would mislead the user.
  struct stat status {};
  if (fd < 0 && errno == ENXIO && ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    throw DataError(concat(path.string(), ": is a ", kind_of(status.st_mode), ", expected a regular file"));
  }
  if (fd < 0) refuse(path, "open for reading", errno);
  if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) return fd;
  ::close(fd);
  throw DataError(concat(path.string(), ": is a ", kind_of(status.st_mode), ", expected a regular file"));
}

int64_t regular_file_bytes(const std::filesystem::path& path) {
  const Descriptor file{open_regular_file(path)};
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) refuse(path, "read", errno);
  return status.st_size;
}

std::string read_regular_file(const std::filesystem::path& path, int64_t max_bytes) {
  const Descriptor file{open_regular_file(path)};
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) refuse(path, "read", errno);
  if (status.st_size > max_bytes) {
    throw DataError(
        concat(path.string(), ": has ", status.st_size, " bytes, expected a text file of at most ", max_bytes));
  }
  // Read to the end of the file rather than to its reported size: files in /proc report 0 bytes, and a file may grow
  // while it is read. The extra byte lets the next read() see the end of the file without growing the buffer.
  std::string text(static_cast<size_t>(status.st_size) + 1, '\0');
  size_t done = 0;
  while (true) {
    const ssize_t n = ::read(file.fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse(path, "read", errno);
    if (n == 0) break;
    done += static_cast<size_t>(n);
    if (static_cast<int64_t>(done) > max_bytes) {
      throw DataError(concat(path.string(), ": has more than the ", max_bytes, " bytes that a text file may have"));
    }
    if (done == text.size()) text.resize(2 * text.size());
  }
  text.resize(done);
  return text;
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos && name.find('\0') == name.npos;
}

}  // namespace birkhoff

#pragma once
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace birkhoff {

// A file system in memory with little free space. A test should skip itself if it cannot be mounted.
class TinyDisk {
 public:
  explicit TinyDisk(const std::string& size = "1m", unsigned long flags = 0)
      : mounted_(::mount("tmpfs", dir_.path().c_str(), "tmpfs", flags, ("size=" + size).c_str()) == 0), code_(errno) {}
  ~TinyDisk() {
    if (mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  std::string reason() const { return std::string("no tmpfs can be mounted: ") + std::strerror(code_); }
  const std::filesystem::path& path() const { return dir_.path(); }

  // Fills the file system until only `pages` pages are free. Returns false if that fails.
  bool leave(int pages) const {
    std::ofstream(ballast()).close();
    struct statvfs disk {};
    if (::statvfs(path().c_str(), &disk) != 0) return false;
    const int fd = ::open(ballast().c_str(), O_WRONLY);
    const auto bytes = std::max(off_t{0}, static_cast<off_t>(disk.f_bavail * disk.f_bsize) - off_t{4096} * pages);
    const bool filled = fd >= 0 && (bytes == 0 || ::posix_fallocate(fd, 0, bytes) == 0);
    ::close(fd);
    return filled;
  }
  void make_room() const { std::filesystem::remove(ballast()); }

 private:
  std::filesystem::path ballast() const { return path() / "ballast"; }

  const TempDir dir_;
  bool mounted_;
  int code_;
};

}  // namespace birkhoff

#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/core/error.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff {
namespace {

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

// A file system that does not carry flock() between hosts leaves the age of the last refresh.
constexpr double kStaleAfter_s = 120;
double age_s(const std::filesystem::path& path) {
  const auto age = std::filesystem::file_time_type::clock::now() - std::filesystem::last_write_time(path);
  return std::chrono::duration<double>(age).count();
}

using Owner = DirectoryLock::Owner;

std::optional<Owner> read_owner(const std::filesystem::path& path) {
  std::ifstream in(path);
  Owner owner;
  if (in >> owner.host >> owner.pid) return owner;
  return std::nullopt;
}

std::string describe(const std::optional<Owner>& owner) {
  return owner ? concat("process ", owner->pid, " on ", owner->host) : "another process";
}

[[noreturn]] void refuse_in_use(const std::filesystem::path& directory, const std::optional<Owner>& owner) {
  throw UserError(concat(directory.string(), " is in use by ", describe(owner),
                         ". Two runs cannot share a directory: stop that one, or choose another run.dir"));
}

// Whether the path still leads to the open file: its owner may have removed it while we waited to open it.
bool same_file(int fd, const std::filesystem::path& path) {
  struct stat opened {
  }, named{};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino;
}

}  // namespace

// The kernel releases flock() when the process dies, however it dies; the text tells other hosts and people who it is.
DirectoryLock::DirectoryLock(const std::filesystem::path& directory, std::string& notice) : path_(directory / ".lock") {
  std::optional<Owner> before;
  do {
    release();
    before = read_owner(path_);
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    BK_CHECK(fd_ >= 0, directory.string(), " cannot be written: ", std::strerror(errno), ". Choose another run.dir");
    try {
      claim(directory, before);
    } catch (...) {
      release();
      throw;
    }
  } while (!same_file(fd_, path_));
  if (before) notice = concat("the lock of ", describe(before), ", which has ended, was taken over");
  sign();
}

void DirectoryLock::claim(const std::filesystem::path& directory, const std::optional<Owner>& before) const {
  const bool locked = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
  if (!locked && errno == EWOULDBLOCK) refuse_in_use(directory, before);
  if (!before) return;
  if (before->host == host_name()) {
    // Without flock() a process of this host is asked for directly.
    if (!locked && before->pid != ::getpid() && ::kill(before->pid, 0) == 0) refuse_in_use(directory, before);
    return;
  }
  const double age = age_s(path_);
  BK_CHECK(age >= kStaleAfter_s, directory.string(), " was locked by ", describe(before), ", last seen ",
           std::lround(age), " s ago. If it has ended, the lock is free after ", kStaleAfter_s, " s, or remove ",
           path_.string());
}

void DirectoryLock::sign() {
  const std::string text = concat(host_name(), ' ', ::getpid(), '\n');
  const bool written = ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, text.data(), text.size(), 0) >= 0;
  if (written) return;
  const int code = errno;
  ::unlink(path_.c_str());
  release();
  throw UserError(concat(path_.string(), " cannot be written: ", std::strerror(code), ". Choose another run.dir"));
}

void DirectoryLock::refresh() { ::futimens(fd_, nullptr); }

void DirectoryLock::release() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

DirectoryLock::~DirectoryLock() {
  ::unlink(path_.c_str());
  release();
}

}  // namespace birkhoff

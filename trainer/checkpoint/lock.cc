#include <cerrno>
#include <chrono>
#include <cmath>
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

struct Owner {
  std::string host;
  long pid = 0;
};

std::optional<Owner> read_owner(const std::filesystem::path& path) {
  std::ifstream in(path);
  Owner owner;
  if (in >> owner.host >> owner.pid) return owner;
  return std::nullopt;
}

}  // namespace

// The kernel releases flock() when the process dies, however it dies; the text tells other hosts and people who it is.
DirectoryLock::DirectoryLock(const std::filesystem::path& directory, std::string& notice) : path_(directory / ".lock") {
  const std::optional<Owner> before = read_owner(path_);
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  BK_CHECK(fd_ >= 0, directory.string(), " cannot be written: ", std::strerror(errno), ". Choose another run.dir");
  const std::string who = before ? concat("process ", before->pid, " on ", before->host) : "another process";
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd_);
    throw UserError(concat(directory.string(), " is in use by ", who,
                           ". Two runs cannot share a directory: stop that one, or choose another run.dir"));
  }
  if (before && before->host != host_name() && age_s(path_) < kStaleAfter_s) {
    const double age = age_s(path_);
    ::close(fd_);
    throw UserError(concat(directory.string(), " was locked by ", who, ", last seen ", std::lround(age),
                           " s ago. If it has ", "ended, the lock is free after ", kStaleAfter_s, " s, or remove ",
                           path_.string()));
  }
  if (before) notice = concat("the lock of ", who, ", which has ended, was taken over");
  const std::string text = concat(host_name(), ' ', ::getpid(), '\n');
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, text.data(), text.size(), 0) < 0) {
    const int code = errno;
    ::close(fd_);
    throw UserError(concat(path_.string(), ": cannot write: ", std::strerror(code)));
  }
}

void DirectoryLock::refresh() { ::futimens(fd_, nullptr); }

DirectoryLock::~DirectoryLock() {
  ::unlink(path_.c_str());
  ::close(fd_);
}

}  // namespace birkhoff

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
#include "kernels/core/thread.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff {
namespace {

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof(name) - 1);
  return name;
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

// Whether the path still leads to the open file: its owner may have removed it while we waited to open it.
bool same_file(int fd, const std::filesystem::path& path) {
  struct stat opened {
  }, named{};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino;
}

timespec changed_at(int fd) {
  struct stat file {};
  ::fstat(fd, &file);
  return file.st_mtim;
}
// A file system that does not carry flock() between hosts leaves the age of the last refresh. Of the open file, which
// its owner may remove meanwhile.
double age_s(int fd) {
  const timespec at = changed_at(fd);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec - at.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec - at.tv_nsec);
}

}  // namespace

// The kernel releases flock() when the process dies, however it dies; the text tells other hosts and people who it is.
DirectoryLock::DirectoryLock(const std::filesystem::path& directory, Options options)
    : directory_(directory), path_(directory / ".lock"), options_(std::move(options)) {
  std::optional<Owner> before;
  try {
    do {
      release();
      before = read_owner(path_);
      fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
      BK_CHECK(fd_ >= 0, directory.string(), " cannot be written: ", std::strerror(errno), ". Choose another ",
               options_.setting);
      claim(before);
    } while (!same_file(fd_, path_));
  } catch (...) {
    release();
    throw;
  }
  if (before) say(concat("the lock of ", describe(before), ", which has ended, was taken over"));
  sign();
  refresher_ = start_thread("keeps the lock of a directory fresh", [this] { refresh(); });
}

void DirectoryLock::claim(const std::optional<Owner>& before) const {
  const bool locked = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
  if (!locked && errno == EWOULDBLOCK) refuse(before);
  if (!before) return;
  if (before->host != host_name()) return await_sign_of_life(*before);
  // Without flock() a process of this host is asked for directly.
  if (!locked && before->pid != ::getpid() && ::kill(before->pid, 0) == 0) refuse(before);
}

// Clocks of hosts differ: a lock is too old by its age, or because it did not change while we watched for so long.
void DirectoryLock::await_sign_of_life(const Owner& owner) const {
  const double age = age_s(fd_), limit = options_.stale_after_s;
  if (age >= limit) return;
  say(concat(directory_.string(), " was locked by ", describe(owner), ", last seen ", std::lround(age),
             " s ago: waiting up to ", std::lround(std::min(limit, limit - age)), " s for a sign of it"));
  const timespec seen = changed_at(fd_);
  const auto watched_from = std::chrono::steady_clock::now();
  const auto watched_s = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - watched_from).count();
  };
  while (same_file(fd_, path_) && age_s(fd_) < limit && watched_s() < limit) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const timespec now = changed_at(fd_);
    if (now.tv_sec != seen.tv_sec || now.tv_nsec != seen.tv_nsec) refuse(owner);
  }
}

void DirectoryLock::refuse(const std::optional<Owner>& owner) const {
  throw UserError(concat(directory_.string(), " is in use by ", describe(owner),
                         ". Two runs cannot share a directory: stop that one, or choose another ", options_.setting));
}

void DirectoryLock::say(const std::string& line) const {
  if (options_.say) options_.say(line);
}

void DirectoryLock::sign() {
  const std::string text = concat(host_name(), ' ', ::getpid(), '\n');
  const bool written = ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, text.data(), text.size(), 0) >= 0;
  if (written) return;
  const int code = errno;
  ::unlink(path_.c_str());
  release();
  throw UserError(concat(path_.string(), " cannot be written: ", std::strerror(code), ". Make room, or choose another ",
                         options_.setting));
}

void DirectoryLock::refresh() {
  std::unique_lock lock(mutex_);
  const auto period = std::chrono::duration<double>(options_.refresh_every_s);
  while (!wake_.wait_for(lock, period, [this] { return ending_; })) ::futimens(fd_, nullptr);
}

void DirectoryLock::release() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

DirectoryLock::~DirectoryLock() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  refresher_.join();
  ::unlink(path_.c_str());
  release();
}

}  // namespace birkhoff

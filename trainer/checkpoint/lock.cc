#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/core/error.h"
#include "kernels/core/process_tag.h"
#include "kernels/core/thread.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff {
namespace {

using Owner = DirectoryLock::Owner;

std::string describe(const std::optional<Owner>& owner) {
  return owner ? concat("process ", owner->pid, " on ", owner->host) : "another process";
}

// Whether the path still names the open file. Its owner may have removed it while we waited to open it.
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
// Seconds since the lock was last refreshed. If flock() does not work across hosts on this file system, this age is the
// only way to tell whether an owner on another host is alive. Uses the open descriptor, because the owner may remove
// the file meanwhile.
double age_s(int fd) {
  const timespec at = changed_at(fd);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec - at.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec - at.tv_nsec);
}

}  // namespace

// The kernel releases flock() whenever the process ends, even if it is killed. The text in the file tells other hosts,
// and people, who the owner is.
DirectoryLock::DirectoryLock(const std::filesystem::path& directory, Options options)
    : directory_(directory), path_(directory / ".lock"), options_(std::move(options)) {
  std::optional<Owner> before;
  try {
    do {
      release();
      open();
      before = read_owner();
      claim(before);
      // If the owner removed the file between open() and flock(), we hold the lock of a nameless file that nobody else
      // will see: start over with a new one.
    } while (!same_file(fd_, path_));
  } catch (...) {
    release();
    throw;
  }
  if (before) log(concat("the lock of ", describe(before), ", which has ended, was taken over"));
  write_owner();
  refresher_ = start_thread("keeps the lock of a directory fresh", [this] { refresh(); });
}

// Opens the file without following a link, because write_owner() overwrites it: it must be a lock, not a link to
// another file, a pipe or a device. O_NONBLOCK because opening a pipe would wait for its other end.
void DirectoryLock::open() {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  const int code = errno;
  struct stat file {};
  const bool linked = fd_ < 0 && ::lstat(path_.c_str(), &file) == 0 && !S_ISREG(file.st_mode);
  const bool other = fd_ >= 0 && ::fstat(fd_, &file) == 0 && !S_ISREG(file.st_mode);
  BK_CHECK(!linked && !other, path_.string(), " is ", S_ISLNK(file.st_mode) ? "a symbolic link" : "not a regular file",
           ", but runs keep their lock in a file of this name. Remove it, or choose another ", options_.setting);
  BK_CHECK(fd_ >= 0, directory_.string(), " cannot be written: ", std::strerror(code), ". Choose another ",
           options_.setting);
}

// Returns nullopt if the owner has not written its name yet or never could: the file is empty, or all zeros after the
// machine crashed.
std::optional<Owner> DirectoryLock::read_owner() const {
  std::string text(512, '\0');
  text.resize(static_cast<size_t>(std::max<ssize_t>(0, ::pread(fd_, text.data(), text.size(), 0))));
  if (text.find_first_not_of('\0') == text.npos) return std::nullopt;
  std::istringstream in(text);
  Owner owner;
  std::string more;
  const bool ours = text.size() < 512 && in >> owner.host >> owner.pid && !(in >> more);
  BK_CHECK(ours, path_.string(), " is not a lock of Birkhoff, which is a line with a host and a process id. Remove it ",
           "if nothing needs it, or choose another ", options_.setting);
  return owner;
}

// Takes the lock if it is free; returns whether another process holds it. If the file system does not support flock(),
// returns whether the owner is another live process of this host.
bool DirectoryLock::is_held(const std::optional<Owner>& owner) const {
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return false;
  if (errno == EWOULDBLOCK) return true;
  return owner && owner->host == host_name() && owner->pid != ::getpid() && is_alive(owner->pid);
}

void DirectoryLock::claim(const std::optional<Owner>& before) {
  if (is_held(before)) {
    // The lock is held, so flock() works across hosts and the owner on the other host is alive. Do not wait for it,
    // because only the ranks of a killed run on this host are expected to end soon.
    if (before && before->host != host_name()) refuse(before);
    await_end(before);
  } else if (before && before->host != host_name()) {
    await_refresh(*before);
  }
}

// Waits until the lock is free or its file is gone. The limit `wait_s` applies to the total wait, even if one owner
// follows another.
void DirectoryLock::await_end(const std::optional<Owner>& owner) {
  constexpr double kPause = 0.1;
  if (waited_s_ == 0 && options_.wait_s > 0) {
    log(concat(directory_.string(), " is in use by ", describe(owner), ": waiting up to ", options_.wait_s,
               " s for it to end"));
  }
  for (; is_held(owner) && same_file(fd_, path_); waited_s_ += kPause) {
    if (waited_s_ >= options_.wait_s) refuse(owner);
    std::this_thread::sleep_for(std::chrono::duration<double>(kPause));
  }
}

// Waits until the lock is refreshed or is too old. The clocks of two hosts may differ, so a lock also counts as too old
// if it did not change while we watched it for `stale_after_s`.
void DirectoryLock::await_refresh(const Owner& owner) const {
  const double age = age_s(fd_), limit = options_.stale_after_s;
  if (age >= limit) return;
  log(concat(directory_.string(), " was locked by ", describe(owner), ", last seen ", std::lround(age),
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

void DirectoryLock::log(const std::string& line) const {
  if (options_.log) options_.log(line);
}

void DirectoryLock::write_owner() {
  const std::string text = concat(host_name(), ' ', ::getpid(), '\n');
  // Keep the inode: replacing the file would leave waiters with a lock on the old one.
  const bool written = ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, text.data(), text.size(), 0) >= 0;
  if (written) return;
  const int code = errno;
  ::unlink(path_.c_str());
  release();
  throw UserError(concat(path_.string(), " cannot be written: ", std::strerror(code), ". Make room, or choose another ",
                         options_.setting));
}

// A process that was suspended for longer than `stale_after_s` may find that a run on another host has taken over the
// lock. It must then neither refresh nor remove that run's lock.
bool DirectoryLock::is_ours() const noexcept {
  try {
    const auto owner = read_owner();
    return owner && owner->host == host_name() && owner->pid == ::getpid() && same_file(fd_, path_);
  } catch (const std::exception&) {
    return false;
  }
}

void DirectoryLock::refresh() {
  std::unique_lock lock(mutex_);
  const auto period = std::chrono::duration<double>(options_.refresh_every_s);
  while (!wake_.wait_for(lock, period, [this] { return ending_; })) {
    if (is_ours()) ::futimens(fd_, nullptr);
  }
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
  if (is_ours()) ::unlink(path_.c_str());
  release();
}

}  // namespace birkhoff

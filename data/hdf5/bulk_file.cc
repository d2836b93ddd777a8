#include "data/hdf5/bulk_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "data/hdf5/system_calls.h"

namespace birkhoff {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* action, int code) {
  throw IoError(concat(path.string(), ": cannot ", action, ": ", std::strerror(code)), code);
}

int open_or_throw(const std::filesystem::path& path, int flags, const char* action) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  const int code = fd < 0 ? errno : 0;
  std::error_code ignored;
  if (code == ELOOP && (flags & O_NOFOLLOW) != 0 && std::filesystem::is_symlink(path, ignored)) {
    throw IoError(concat(path.string(), " is a symbolic link, and files are not written through links: remove it"),
                  ELOOP);
  }
  if (code == ENOENT && (flags & O_CREAT) == 0) throw IoError(path.string() + ": no such file", ENOENT);
  if (code != 0) fail(path, action, code);
  return fd;
}

void check_range(const H5Dataset& dataset, int64_t first, int64_t count) {
  BK_ASSERT(first >= 0 && count >= 0 && first + count <= dataset.shape.count(), dataset.name, ": elements ", first,
            " to ", first + count, " of ", dataset.shape.count());
}

int64_t byte_offset(const H5Dataset& dataset, int64_t element) {
  return dataset.offset + element * static_cast<int64_t>(size_of(dataset.dtype));
}

}  // namespace

BulkFile BulkFile::open_to_read(const std::filesystem::path& path) { return {open_regular_file(path), path}; }

BulkFile BulkFile::open_to_write(const std::filesystem::path& path) {
  return {open_or_throw(path, O_WRONLY | O_NOFOLLOW, "open for writing"), path};
}

BulkFile BulkFile::create(const std::filesystem::path& path) {
  return {open_or_throw(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, "create"), path};
}

BulkFile::BulkFile(BulkFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

BulkFile& BulkFile::operator=(BulkFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

BulkFile::~BulkFile() {
  if (fd_ >= 0) ::close(fd_);
}

void BulkFile::read(int64_t offset, void* out, size_t bytes) const {
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = ::pread(fd_, static_cast<char*>(out) + done, bytes - done, offset + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path_, "read", errno);
    if (n == 0)
      throw DataError(
          concat(path_.string(), ": truncated: expected ", bytes, " bytes at offset ", offset, ", found ", done));
    done += static_cast<size_t>(n);
  }
}

void BulkFile::write(int64_t offset, const void* data, size_t bytes) const {
  for (size_t done = 0; done < bytes;) {
    const ssize_t n =
        system_pwrite(fd_, static_cast<const char*>(data) + done, bytes - done, offset + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path_, "write", errno);
    if (n == 0) fail(path_, "write", ENOSPC);  // errno is not set if 0 bytes are written; a full device can cause it
    done += static_cast<size_t>(n);
  }
}

void BulkFile::read(const H5Dataset& dataset, int64_t first, int64_t count, void* out) const {
  check_range(dataset, first, count);
  read(byte_offset(dataset, first), out, static_cast<size_t>(count) * size_of(dataset.dtype));
}

void BulkFile::write(const H5Dataset& dataset, int64_t first, int64_t count, const void* data) const {
  check_range(dataset, first, count);
  write(byte_offset(dataset, first), data, static_cast<size_t>(count) * size_of(dataset.dtype));
}

void BulkFile::sync() const {
  if (system_fsync(fd_) != 0) fail(path_, "sync", errno);
}

void BulkFile::begin_sync([[maybe_unused]] int64_t offset, [[maybe_unused]] int64_t bytes) const noexcept {
#ifdef SYNC_FILE_RANGE_WRITE
  ::sync_file_range(fd_, offset, bytes, SYNC_FILE_RANGE_WRITE);
#endif
}

void BulkFile::reserve(int64_t bytes) const {
  if (bytes == 0) return;  // fallocate() rejects a length of 0
  int status = 0;
  do status = ::fallocate(fd_, 0, 0, bytes);
  while (status != 0 && errno == EINTR);
  if (status == 0) return;
  // If the file system cannot reserve space, only the size is set. A full disk is then found when bytes are written.
  const bool unsupported = errno == EOPNOTSUPP || errno == ENOSYS;
  if (!unsupported || ::ftruncate(fd_, bytes) != 0) fail(path_, "write", errno);
}

std::string BulkFile::descriptor_path() const { return concat("/proc/self/fd/", fd_); }

MemoryFile::MemoryFile() : file_(::memfd_create("birkhoff", MFD_CLOEXEC), "a file in memory") {
  if (file_.fd_ < 0) fail(file_.path_, "create", errno);
}

int64_t MemoryFile::bytes() const { return ::lseek(file_.fd_, 0, SEEK_END); }

// SEEK_DATA fails with ENXIO if only a hole is left. On any other failure the file system cannot tell holes from data,
// and everything that is left is treated as data.
void MemoryFile::copy_to(const BulkFile& out) const {
  const int64_t size = bytes();
  for (int64_t end = 0; end < size;) {
    const int64_t data = system_lseek(file_.fd_, end, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return;
    const int64_t hole = data < 0 ? -1 : system_lseek(file_.fd_, data, SEEK_HOLE);
    const int64_t begin = data < 0 ? end : data;
    end = hole < 0 ? size : hole;
    copy_range(out, begin, end);
  }
}

// Skips blocks of zeros, because `out` reads as zeros already. If holes had to be treated as data, most of the file
// could be zeros.
void MemoryFile::copy_range(const BulkFile& out, int64_t begin, int64_t end) const {
  constexpr int64_t kBlock = int64_t{1} << 20;
  std::vector<char> block(static_cast<size_t>(std::min(kBlock, end - begin)));
  for (; begin < end; begin += kBlock) {
    const auto part = static_cast<size_t>(std::min(kBlock, end - begin));
    file_.read(begin, block.data(), part);
    if (std::any_of(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(part), [](char c) { return c != 0; })) {
      out.write(begin, block.data(), part);
    }
  }
}

void check_size_limit(const std::filesystem::path& path, int64_t bytes) {
  rlimit limit{};
  const bool known = ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  if (!known || static_cast<rlim_t>(bytes) <= limit.rlim_cur) return;
  throw IoError(concat(path.string(), ": cannot write: a file of ", bytes,
                       " bytes is larger than the limit of this "
                       "process, ",
                       limit.rlim_cur, " bytes (ulimit -f); raise that, or make smaller files"),
                EFBIG);
}

void sync_directory(const std::filesystem::path& directory) {
  const BulkFile handle(open_or_throw(directory, O_RDONLY | O_DIRECTORY, "open for reading"), directory);
  handle.sync();
}

}  // namespace birkhoff

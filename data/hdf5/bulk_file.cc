#include "data/hdf5/bulk_file.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace birkhoff {
namespace {

std::atomic<PwriteFn> pwrite_fn{::pwrite};
std::atomic<FsyncFn> fsync_fn{::fsync};

[[noreturn]] void fail(const std::filesystem::path& path, const char* action, int code) {
  throw IoError(concat(path.string(), ": cannot ", action, ": ", std::strerror(code)), code);
}

int open_or_throw(const std::filesystem::path& path, int flags, const char* action) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (fd < 0 && errno == ENOENT && (flags & O_CREAT) == 0) throw IoError(path.string() + ": no such file", ENOENT);
  if (fd < 0) fail(path, action, errno);
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

void inject_pwrite(PwriteFn fn) { pwrite_fn = fn != nullptr ? fn : ::pwrite; }
void inject_fsync(FsyncFn fn) { fsync_fn = fn != nullptr ? fn : ::fsync; }

BulkFile BulkFile::open_to_read(const std::filesystem::path& path) { return {open_regular_file(path), path}; }

BulkFile BulkFile::open_to_write(const std::filesystem::path& path) {
  return {open_or_throw(path, O_WRONLY, "open for writing"), path};
}

BulkFile BulkFile::create(const std::filesystem::path& path) {
  return {open_or_throw(path, O_WRONLY | O_CREAT | O_TRUNC, "create"), path};
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
        pwrite_fn.load()(fd_, static_cast<const char*>(data) + done, bytes - done, offset + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path_, "write", errno);
    if (n == 0) fail(path_, "write", ENOSPC);  // POSIX leaves a write of nothing unexplained; a full device does it
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
  if (fsync_fn.load()(fd_) != 0) fail(path_, "sync", errno);
}

void BulkFile::begin_sync([[maybe_unused]] int64_t offset, [[maybe_unused]] int64_t bytes) const noexcept {
#ifdef SYNC_FILE_RANGE_WRITE
  ::sync_file_range(fd_, offset, bytes, SYNC_FILE_RANGE_WRITE);
#endif
}

void BulkFile::reserve(int64_t bytes) const {
  if (bytes == 0 || ::fallocate(fd_, 0, 0, bytes) == 0) return;
  const bool unsupported = errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR;
  if (!unsupported || ::ftruncate(fd_, bytes) != 0) fail(path_, "write", errno);
}

MemoryFile::MemoryFile() : path_("/dev/shm/birkhoff-XXXXXX"), fd_(::mkostemp(path_.data(), O_CLOEXEC)) {
  if (fd_ < 0) fail(path_, "create", errno);
}

MemoryFile::~MemoryFile() {
  unname();
  ::close(fd_);
}

void MemoryFile::unname() {
  if (!path_.empty()) ::unlink(path_.c_str());
  path_.clear();
}

int64_t MemoryFile::bytes() const { return ::lseek(fd_, 0, SEEK_END); }

void MemoryFile::copy_to(const BulkFile& out) const {
  const BulkFile in(::fcntl(fd_, F_DUPFD_CLOEXEC, 0), "/dev/shm");
  std::vector<char> block;
  for (off_t hole = 0;;) {
    const off_t begin = ::lseek(fd_, hole, SEEK_DATA);
    if (begin < 0) return;  // only a hole is left
    hole = ::lseek(fd_, begin, SEEK_HOLE);
    block.resize(static_cast<size_t>(hole - begin));
    in.read(begin, block.data(), block.size());
    out.write(begin, block.data(), block.size());
  }
}

void sync_directory(const std::filesystem::path& directory) {
  const BulkFile handle(open_or_throw(directory, O_RDONLY | O_DIRECTORY, "open for reading"), directory);
  handle.sync();
}

std::filesystem::path temporary_name(const std::filesystem::path& final) {
  return final.parent_path() / concat(".", final.filename().string(), ".", ::getpid(), ".tmp");
}

void publish_file(const std::filesystem::path& temporary, const std::filesystem::path& final) {
  BulkFile::open_to_write(temporary).sync();
  if (::rename(temporary.c_str(), final.c_str()) != 0) fail(final, "publish", errno);
  sync_directory(final.has_parent_path() ? final.parent_path() : ".");
}

void write_text(const std::filesystem::path& path, const std::string& text, Durability durability) {
  const BulkFile out = BulkFile::create(path);
  out.write(0, text.data(), text.size());
  if (durability == Durability::durable) out.sync();
}

void publish_text(const std::filesystem::path& final, const std::string& text) {
  const auto temporary = temporary_name(final);
  ::close(open_or_throw(temporary, O_WRONLY | O_CREAT | O_TRUNC, "create"));
  try {
    BulkFile::open_to_write(temporary).write(0, text.data(), text.size());
    publish_file(temporary, final);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

}  // namespace birkhoff

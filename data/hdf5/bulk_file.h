#pragma once
#include <filesystem>
#include <string>

#include <sys/types.h>

#include "data/hdf5/file.h"
#include "kernels/core/error.h"

namespace birkhoff {

// The operating system refused a read or write: code is errno (ENOSPC, EDQUOT, EIO, ...).
class IoError : public DataError {
 public:
  IoError(const std::string& message, int code) : DataError(message), code_(code) {}
  int code() const { return code_; }
  bool disk_full() const;

 private:
  int code_;
};

// Bytes of a file at absolute offsets, by pread and pwrite. One object may be used by several threads at once.
class BulkFile {
 public:
  static BulkFile open_to_read(const std::filesystem::path& path);
  static BulkFile open_to_write(const std::filesystem::path& path);  // the file exists
  BulkFile(BulkFile&& other) noexcept;
  BulkFile& operator=(BulkFile&& other) noexcept;
  ~BulkFile();

  // All bytes or an error: interrupted and short transfers are continued. DataError at the end of the file.
  void read(int64_t offset, void* out, size_t bytes) const;
  void write(int64_t offset, const void* data, size_t bytes) const;
  // Elements [first, first + count) of a dataset.
  void read(const H5Dataset& dataset, int64_t first, int64_t count, void* out) const;
  void write(const H5Dataset& dataset, int64_t first, int64_t count, const void* data) const;
  void sync() const;
  // Claims disk space for the first `bytes` bytes, so that a full disk is found before they are written. Nothing where
  // the file system cannot.
  void reserve(int64_t bytes) const;

 private:
  BulkFile(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}

  int fd_ = -1;
  std::filesystem::path path_;
};

void sync_directory(const std::filesystem::path& directory);
// Makes `temporary` appear as `final` whole or not at all: fsync of the file, rename, fsync of the directory.
void publish_file(const std::filesystem::path& temporary, const std::filesystem::path& final);
// Writes a small text file through a temporary neighbour and publishes it.
void publish_text(const std::filesystem::path& final, const std::string& text);
// The name under which a file is written before publish_file: a hidden neighbour, unique to this process.
std::filesystem::path temporary_name(const std::filesystem::path& final);

// Fault injection: the calls that write() and sync() make. Tests exchange them and put nullptr back.
using PwriteFn = ssize_t (*)(int fd, const void* data, size_t bytes, off_t offset);
using FsyncFn = int (*)(int fd);
void inject_pwrite(PwriteFn fn);
void inject_fsync(FsyncFn fn);

}  // namespace birkhoff

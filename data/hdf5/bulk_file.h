#pragma once
#include <filesystem>
#include <string>

#include "data/file/regular_file.h"
#include "data/hdf5/file.h"
#include "kernels/core/error.h"

namespace birkhoff {

// Reads and writes bytes of a file at absolute offsets, with pread and pwrite. Thread safe.
class BulkFile {
 public:
  static BulkFile open_to_read(const std::filesystem::path& path);  // see open_regular_file()
  // Files opened for writing must not be symbolic links, whose targets may belong to somebody else.
  static BulkFile open_to_write(const std::filesystem::path& path);  // an existing file
  static BulkFile create(const std::filesystem::path& path);         // truncates an existing file
  BulkFile(BulkFile&& other) noexcept;
  BulkFile& operator=(BulkFile&& other) noexcept;
  ~BulkFile();

  // Transfer all bytes or throw: interrupted and short transfers are continued. A read past the end of the file is a
  // DataError.
  void read(int64_t offset, void* out, size_t bytes) const;
  void write(int64_t offset, const void* data, size_t bytes) const;
  // The same for the elements [first, first + count) of a dataset.
  void read(const H5Dataset& dataset, int64_t first, int64_t count, void* out) const;
  void write(const H5Dataset& dataset, int64_t first, int64_t count, const void* data) const;
  void sync() const;
  // Starts writeback of a range that has been written, if the system supports it, so that a later sync() waits less.
  // Errors are left to sync().
  void begin_sync(int64_t offset, int64_t bytes) const noexcept;
  // Sets the size of a new file to `bytes`, and claims disk space for it if the file system can. A full disk is then
  // found before anything is written.
  void reserve(int64_t bytes) const;
  // A path that opens this file even if it has been renamed or has no name, for libraries that accept only paths.
  std::string descriptor_path() const;

 private:
  friend class MemoryFile;
  friend void sync_directory(const std::filesystem::path& directory);
  BulkFile(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}

  int fd_ = -1;
  std::filesystem::path path_;
};

// An anonymous file in memory. It has no name, so nothing is left behind if the process is killed, and ranges that are
// never written take no memory. HDF5 lays out here the files that BulkFile then writes to disk, so that HDF5 itself
// never meets a full disk. A file in /dev/shm would not do, because its size limit depends on the machine.
class MemoryFile {
 public:
  MemoryFile();

  std::string descriptor_path() const { return file_.descriptor_path(); }
  int64_t bytes() const;
  // Copies the ranges that have been written to the same offsets of `out`, which must read as zeros elsewhere: a new
  // file.
  void copy_to(const BulkFile& out) const;

 private:
  void copy_range(const BulkFile& out, int64_t begin, int64_t end) const;

  BulkFile file_;
};

// Throws an IoError if a file of this size exceeds the limit of this process (ulimit -f). Call it before HDF5 creates a
// file: after a write that failed at this limit, HDF5 crashes when the process exits.
void check_size_limit(const std::filesystem::path& path, int64_t bytes);

void sync_directory(const std::filesystem::path& directory);
// Renames `temporary` to `final`, so that `final` appears whole or not at all: fsync of the file, rename, fsync of the
// directory.
void publish_file(const std::filesystem::path& temporary, const std::filesystem::path& final);
// Writes a small text file under a temporary name in the same folder, and publishes it.
void publish_text(const std::filesystem::path& final, const std::string& text);
// Writes a file into a folder that is not published yet, so that no temporary name is needed. With `durable`, its
// contents are on disk when this returns; its name is on disk after the folder's sync_directory().
enum class Durability : uint8_t { none, durable };
void write_text(const std::filesystem::path& path, const std::string& text, Durability durability);
// The temporary name to write a file under before publish_file(): a hidden file in the same folder, unique to this
// process. The first call for a folder removes the temporary files that killed processes of this host have left in it.
std::filesystem::path new_temporary(const std::filesystem::path& final);

}  // namespace birkhoff

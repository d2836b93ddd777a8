#pragma once
#include <filesystem>
#include <string>

#include "data/file/regular_file.h"
#include "data/hdf5/file.h"
#include "kernels/core/error.h"

namespace birkhoff {

// Bytes of a file at absolute offsets, by pread and pwrite. One object may be used by several threads at once.
class BulkFile {
 public:
  static BulkFile open_to_read(const std::filesystem::path& path);  // by open_regular_file()
  // What is written follows no symbolic link, whose target would be somebody else's file.
  static BulkFile open_to_write(const std::filesystem::path& path);  // the file exists
  static BulkFile create(const std::filesystem::path& path);         // or truncates it
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
  // Lets the disk begin on a range that was written, where the system can: a later sync() has less to wait for.
  void begin_sync(int64_t offset, int64_t bytes) const noexcept;
  // Makes a new file `bytes` long and claims disk space for it where the file system can, so that a full disk is found
  // before anything is written.
  void reserve(int64_t bytes) const;
  // A path that opens this very file, whatever its name has become: for libraries that take names only.
  std::string descriptor_path() const;

 private:
  friend class MemoryFile;
  friend void sync_directory(const std::filesystem::path& directory);
  BulkFile(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}

  int fd_ = -1;
  std::filesystem::path path_;
};

// A file in memory, without a name, so that nothing is left of it after a kill; ranges that are not written cost
// nothing. HDF5 lays out files here that go to disk by BulkFile, and so never meets a full disk. It is not a file of
// /dev/shm, whose size limits depend on the machine.
class MemoryFile {
 public:
  MemoryFile();

  std::string descriptor_path() const { return file_.descriptor_path(); }
  int64_t bytes() const;
  // Copies what has been written, at the same offsets. `out` is new: it reads as zeros.
  void copy_to(const BulkFile& out) const;

 private:
  void copy_range(const BulkFile& out, int64_t begin, int64_t end) const;

  BulkFile file_;
};

// Throws the IoError of a file that is larger than this process may write (ulimit -f). Asked before HDF5 begins a file,
// since it crashes at the end of a process in which a write failed at this limit.
void check_size_limit(const std::filesystem::path& path, int64_t bytes);

void sync_directory(const std::filesystem::path& directory);
// Makes `temporary` appear as `final` whole or not at all: fsync of the file, rename, fsync of the directory.
void publish_file(const std::filesystem::path& temporary, const std::filesystem::path& final);
// Writes a small text file through a temporary neighbor and publishes it.
void publish_text(const std::filesystem::path& final, const std::string& text);
// A file of a folder that nobody looks into yet: on disk when this returns, if `durable`, its name with the folder's
// sync_directory.
enum class Durability : uint8_t { none, durable };
void write_text(const std::filesystem::path& path, const std::string& text, Durability durability);
// The name under which a file is written before publish_file: a hidden neighbor, unique to this process. The first
// call for a folder removes the temporaries that killed processes of this host have left in it.
std::filesystem::path new_temporary(const std::filesystem::path& final);

}  // namespace birkhoff

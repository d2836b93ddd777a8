#pragma once
// HDF5 files, groups, attributes and datasets. hdf5.h is included only in data/hdf5/*.cc. All functions of the classes
// lock hdf5_mutex(), and throw a DataError with the path, the object and HDF5's own message on failure.
// HDF5 itself does not read or write the elements of datasets. Datasets are contiguous, allocated at creation and never
// filled, so their bytes lie at `offset` in the file, and BulkFile (bulk_file.h) reads and writes them without the
// mutex.
#include <filesystem>
#include <string>
#include <vector>

#include "data/hdf5/handle.h"
#include "kernels/core/dtype.h"
#include "kernels/core/shape.h"

namespace birkhoff {

// Where the elements of a dataset lie in the file. bf16 is stored as a 16-bit unsigned integer, marked by the attribute
// dtype = "bf16".
struct H5Dataset {
  std::string name;
  DType dtype = DType::f32;
  Shape shape{0};
  int64_t offset = 0;  // of its first byte in the file

  size_t bytes() const { return static_cast<size_t>(shape.count()) * size_of(dtype); }
};

class H5Group {
 public:
  H5Group create_group(const std::string& name) const;
  H5Group group(const std::string& name) const;
  // Creates a dataset and allocates its bytes. Their values are undefined until BulkFile writes them.
  H5Dataset create_dataset(const std::string& name, DType dtype, const Shape& shape) const;
  // Opens a dataset. Refuses soft and external links, external storage, and an extent that exceeds the file, so that
  // only bytes of this file are ever read.
  H5Dataset dataset(const std::string& name) const;
  bool has(const std::string& name) const;
  // Names of the groups and datasets of this group, sorted.
  std::vector<std::string> names() const;

  void set(const std::string& attribute, int64_t value) const;
  void set(const std::string& attribute, double value) const;
  void set(const std::string& attribute, const std::string& value) const;  // less than 64 KiB
  bool has_attribute(const std::string& attribute) const;
  int64_t integer(const std::string& attribute) const;
  double real(const std::string& attribute) const;
  std::string text(const std::string& attribute) const;

 private:
  friend class H5File;
  H5Group(H5Handle handle, std::string path) : handle_(std::move(handle)), path_(std::move(path)) {}

  H5Handle handle_;
  std::string path_;  // the file, then the group within it; for messages
};

class MemoryFile;  // bulk_file.h

class H5File {
 public:
  // Creates or truncates a file. HDF5 1.10 and later can read it, and its metadata carries checksums. Does not follow
  // symbolic links.
  static H5File create(const std::filesystem::path& path);
  static H5File create(const MemoryFile& memory);
  // Opens a file for reading. Throws what check_h5_size() and check_h5_headers() throw, then HDF5's own errors.
  static H5File open(const std::filesystem::path& path);
  H5Group root() const;
  // Writes all metadata and closes the file; its groups must not be used afterward. The destructor closes the file too,
  // but cannot report an error. If the disk is full, HDF5 keeps the file open and crashes when the process exits. Files
  // for the disk are therefore laid out in memory (MemoryFile).
  void close();

 private:
  H5File(H5Handle handle, std::filesystem::path path) : handle_(std::move(handle)), path_(std::move(path)) {}
  static H5File create_at(const std::filesystem::path& opened, const H5Handle& access, std::filesystem::path path);

  H5Handle handle_;
  std::filesystem::path path_;
};

// Throws a DataError, with path, expected and found, if the file is missing, is not a regular file, is empty, is not
// HDF5, has a format older than 1.10, is truncated, or has bytes after its recorded end. Each case has its own message.
void check_h5_size(const std::filesystem::path& path);
// Throws a DataError if the metadata is damaged or leads outside the file, or if an object has a form that our files do
// not have. libhdf5 trusts the metadata, and crashes on addresses and sizes that are wrong.
void check_h5_headers(const std::filesystem::path& path);

}  // namespace birkhoff

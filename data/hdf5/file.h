#pragma once
// Files, groups, attributes and datasets of HDF5, without its header: the only home of hdf5.h is data/hdf5/*.cc.
// Every function locks hdf5_mutex(). Every failure is a DataError with the path, the object and HDF5's own words.
// Bulk bytes do not pass HDF5: datasets are contiguous, allocated at creation and never filled, so their bytes lie at
// `offset` in the file and are moved by BulkFile (bulk_file.h) outside the mutex.
#include <filesystem>
#include <string>
#include <vector>

#include "data/hdf5/handle.h"
#include "kernels/core/dtype.h"
#include "kernels/core/shape.h"

namespace birkhoff {

// Where a dataset's elements lie. bf16 is stored as 16-bit unsigned with the attribute dtype = "bf16".
struct H5Dataset {
  std::string name;
  DType dtype = DType::f32;
  Shape shape{0};
  int64_t offset = 0;  // of the first byte in the file

  size_t bytes() const { return static_cast<size_t>(shape.count()) * size_of(dtype); }
};

class H5Group {
 public:
  H5Group create_group(const std::string& name) const;
  H5Group group(const std::string& name) const;
  // Reserves the bytes of a dataset; their content is undefined until written through BulkFile.
  H5Dataset create_dataset(const std::string& name, DType dtype, const Shape& shape) const;
  // Only what lies in this file itself is opened: no soft or external link, no external storage. The extent fits the
  // file.
  H5Dataset dataset(const std::string& name) const;
  bool has(const std::string& name) const;
  // Names of the groups and datasets of this group, sorted.
  std::vector<std::string> names() const;

  void set(const std::string& attribute, int64_t value) const;
  void set(const std::string& attribute, double value) const;
  void set(const std::string& attribute, const std::string& value) const;  // below 64 KiB
  bool has_attribute(const std::string& attribute) const;
  int64_t integer(const std::string& attribute) const;
  double real(const std::string& attribute) const;
  std::string text(const std::string& attribute) const;

 private:
  friend class H5File;
  H5Group(H5Handle handle, std::string path) : handle_(std::move(handle)), path_(std::move(path)) {}

  H5Handle handle_;
  std::string path_;  // of the file, then of the group: for messages
};

class MemoryFile;  // bulk_file.h

class H5File {
 public:
  // Creates or truncates, readable by HDF5 1.10 and later, metadata checksummed by HDF5. Follows no symbolic link.
  static H5File create(const std::filesystem::path& path);
  static H5File create(const MemoryFile& memory);
  // Read-only. Throws what check_h5_size() throws, then HDF5's own complaints.
  static H5File open(const std::filesystem::path& path);
  H5Group root() const;
  // Writes all metadata and closes; further use of groups of this file is an error. The destructor closes too, but
  // cannot report an error. Where the disk is full HDF5 keeps the file open and crashes at the end of the process: what
  // is made for the disk is laid out in memory.
  void close();

 private:
  H5File(H5Handle handle, std::filesystem::path path) : handle_(std::move(handle)), path_(std::move(path)) {}
  static H5File create_at(const std::filesystem::path& opened, const H5Handle& access, std::filesystem::path path);

  H5Handle handle_;
  std::filesystem::path path_;
};

// Tells apart, by path, expected and found: a missing file, one that is no regular file, an empty one, one that is not
// HDF5 or of a format older than 1.10, a truncated one, and one with bytes beyond its recorded end. DataError.
void check_h5_size(const std::filesystem::path& path);
// Whether the object headers lead to places within the file: libhdf5 crashes where one does not. DataError.
void check_h5_headers(const std::filesystem::path& path);

}  // namespace birkhoff

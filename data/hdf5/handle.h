#pragma once
#include <cstdint>
#include <mutex>
#include <string>

namespace birkhoff {

// HDF5 is not thread safe, so all HDF5 calls of the process are made with this one mutex locked. It is recursive
// because H5Handle::release() locks it, and local handles are often destroyed while their function still holds it.
std::recursive_mutex& hdf5_mutex();

// Owns one HDF5 identifier of any kind (file, group, dataset, attribute, dataspace, datatype, property list).
class H5Handle {
 public:
  H5Handle() = default;
  explicit H5Handle(int64_t id) : id_(id) {}
  H5Handle(H5Handle&& other) noexcept : id_(other.id_) { other.id_ = -1; }
  H5Handle& operator=(H5Handle&& other) noexcept;
  ~H5Handle() { release(); }
  int64_t id() const { return id_; }
  void release() noexcept;

 private:
  int64_t id_ = -1;
};

}  // namespace birkhoff

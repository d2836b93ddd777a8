#pragma once
#include <cstdint>
#include <mutex>
#include <string>

namespace birkhoff {

// HDF5 is not thread safe: every HDF5 call of the process is made under this one mutex. Recursive, since a handle may
// be released while an error leaves a locked scope.
std::recursive_mutex& hdf5_mutex();

// Owns one HDF5 identifier of any class (file, group, dataset, attribute, space, type, property list).
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

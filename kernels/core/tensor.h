#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/core/device.h"
#include "kernels/core/dtype.h"
#include "kernels/core/shape.h"

namespace birkhoff {

// A borrowed, contiguous, row-major view. Owns nothing, so it is cheap to copy. `data` is null on the meta device. A
// default Tensor is absent: it stands for an optional argument that is not given, while a tensor of zero rows is an
// ordinary one. Of the code above kernels/, only communication and checkpoints read or write
// the bytes behind `data`.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape = Shape::absent();
#ifdef BIRKHOFF_CHECKED
  // Where the memory is. Only in builds that check it: Debug and sanitizers.
  DeviceKind device = DeviceKind::cpu;
#endif

  int64_t count() const { return shape.count(); }
  size_t bytes() const { return static_cast<size_t>(shape.count()) * size_of(dtype); }
  // Whether an optional argument was given.
  bool present() const { return !shape.is_absent(); }

  // The elements as T; BugError if the dtype is not that of T.
  template <class T>
  T* as() const {
    if (dtype != kDTypeOf<T>) wrong_dtype(kDTypeOf<T>);
    return static_cast<T*>(data);
  }
  float* f32() const { return as<float>(); }

  // The same elements under another shape of equal count.
  Tensor view(Shape other) const;
  // Rows [begin, begin + num) of the first dim.
  Tensor rows(int64_t begin, int64_t num) const;
  // Elements [begin, begin + num) of the flattened tensor, as a vector.
  Tensor flat(int64_t begin, int64_t num) const;

 private:
  [[noreturn]] void wrong_dtype(DType wanted) const;
};

// In builds with BIRKHOFF_CHECKED: BugError if the tensor is not on the device. All host devices share host memory, so
// a tensor of one is accepted on the others.
void check_on(Device device, const Tensor& tensor);

}  // namespace birkhoff

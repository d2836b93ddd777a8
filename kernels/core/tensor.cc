#include "kernels/core/tensor.h"

#include "kernels/core/error.h"

namespace birkhoff {

void Tensor::wrong_dtype(DType wanted) const {
  throw BugError(concat("tensor of dtype ", dtype, " and shape ", shape, " was read as ", wanted));
}

Tensor Tensor::view(Shape other) const {
  BK_ASSERT(other.count() == count(), shape, " viewed as ", other);
  Tensor out = *this;
  out.shape = other;
  return out;
}

Tensor Tensor::rows(int64_t begin, int64_t num) const {
  BK_ASSERT(shape.rank() >= 1 && begin >= 0 && num >= 0 && begin + num <= shape[0], "rows [", begin, ", ", begin + num,
            ") of ", shape);
  Shape part{num};
  for (int i = 1; i < shape.rank(); ++i) part.append(shape[i]);
  const int64_t row = shape[0] ? count() / shape[0] : 0;
  Tensor out = *this;
  if (data != nullptr) out.data = static_cast<std::byte*>(data) + begin * row * static_cast<int64_t>(size_of(dtype));
  out.shape = part;
  return out;
}

void check_on([[maybe_unused]] Device device, [[maybe_unused]] const Tensor& tensor) {
#ifdef BIRKHOFF_CHECKED
  auto on_host = [](DeviceKind kind) { return kind == DeviceKind::cpu || kind == DeviceKind::reference; };
  BK_ASSERT(tensor.device == device.kind || (on_host(tensor.device) && on_host(device.kind)), "a tensor of ",
            tensor.shape, " on ", name_of(tensor.device), " was given to work on ", name_of(device.kind));
#endif
}

Tensor Tensor::flat(int64_t begin, int64_t num) const { return view({count()}).rows(begin, num); }

}  // namespace birkhoff

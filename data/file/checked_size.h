#pragma once
#include <cstdint>
#include <optional>

#include "kernels/core/dtype.h"
#include "kernels/core/shape.h"

namespace birkhoff {

// Bytes of a tensor whose shape was read from a file, or nullopt if a dim is negative or the product does not fit 63
// bits. Callers must reject such a shape at once: Shape::count() would overflow on it.
inline std::optional<int64_t> checked_bytes(DType dtype, const Shape& shape) {
  auto bytes = static_cast<int64_t>(size_of(dtype));
  for (int i = 0; i < shape.rank(); ++i)
    if (shape[i] < 0 || __builtin_mul_overflow(bytes, shape[i], &bytes)) return std::nullopt;
  return bytes;
}

}  // namespace birkhoff

#pragma once
#include <cstdint>

#include "kernels/core/shape.h"

namespace birkhoff {

// A flat range of elements of a logical tensor: what one rank holds of it.
struct Slice {
  Shape global;
  int64_t begin = 0, count = 0;

  static Slice all(const Shape& shape) { return {shape, 0, shape.count()}; }
  bool whole() const { return begin == 0 && count == global.count(); }
  bool operator==(const Slice&) const = default;
};

}  // namespace birkhoff

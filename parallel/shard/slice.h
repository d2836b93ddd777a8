#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "kernels/core/shape.h"

namespace birkhoff {

// A rectangular part of a tensor: indices [begin[d], begin[d] + extent[d]) of each dim d.
struct Box {
  Shape begin, extent;

  int64_t count() const { return extent.count(); }
  // The indices, in the tensor, of an element of the box, whose elements are counted row-major, and the reverse.
  Shape indices_of(int64_t element) const;
  int64_t element_at(const Shape& indices) const;
  bool operator==(const Box&) const = default;
};
// What two boxes of a tensor have in common; nothing where that is no element.
std::optional<Box> intersection(const Box& a, const Box& b);

// What one rank holds of a logical tensor: boxes that share no element. The rank's memory holds the boxes in
// order, each row-major.
struct Slice {
  Shape global;
  std::vector<Box> boxes;

  static Slice all(const Shape& shape);
  int64_t count() const;
  bool whole() const { return count() == global.count(); }
  // Elements [begin, begin + count) of this slice, counted as they lie in memory. A range of a matrix is at most a part
  // of a row, whole rows and another part of a row: three boxes.
  Slice part(int64_t begin, int64_t count) const;
  // The indices, in the logical tensor, of element i of this slice.
  Shape indices_of(int64_t i) const;
  // Calls body(first, local, count) for runs of elements that are neighbors both in the logical tensor, flat and
  // row-major from `first` on, and in memory, from `local` on. Ascending by `local`.
  using Run = std::function<void(int64_t first, int64_t local, int64_t count)>;
  void for_each_run(const Run& body) const;
  bool operator==(const Slice&) const = default;
};

}  // namespace birkhoff

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
  // indices_of() returns the indices in the tensor of an element of the box, whose elements are counted row-major.
  // element_at() is its inverse.
  Shape indices_of(int64_t element) const;
  int64_t element_at(const Shape& indices) const;
  bool operator==(const Box&) const = default;
};
// The common part of two boxes of a tensor; nullopt if they share no element.
std::optional<Box> intersection(const Box& a, const Box& b);

// What one rank holds of a logical tensor: boxes that share no element. The rank's memory holds the boxes in order,
// each of them row-major.
struct Slice {
  Shape global;
  std::vector<Box> boxes;

  static Slice all(const Shape& shape);
  int64_t count() const;
  bool whole() const { return count() == global.count(); }
  // Elements [begin, begin + count) of this slice, in memory order. For a matrix this takes at most three boxes: the
  // end of a row, whole rows, and the start of a row.
  Slice part(int64_t begin, int64_t count) const;
  // The indices in the logical tensor of element i of this slice.
  Shape indices_of(int64_t i) const;
  // Calls body(first, local, count) for every run of `count` elements that are neighbors in both places: in the logical
  // tensor from element `first` on, flat and row-major, and in memory from element `local` on. Ascending by `local`.
  using Run = std::function<void(int64_t first, int64_t local, int64_t count)>;
  void for_each_run(const Run& body) const;
  bool operator==(const Slice&) const = default;
};

}  // namespace birkhoff

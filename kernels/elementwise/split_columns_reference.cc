#include <cstring>

#include "kernels/elementwise/split_columns.h"

namespace birkhoff::reference {
namespace {

// Element c of row t, whatever the type.
std::byte* element(Tensor x, int64_t t, int64_t c) {
  return static_cast<std::byte*>(x.data) + (t * x.shape.back() + c) * static_cast<int64_t>(size_of(x.dtype));
}

// Calls body(element of x, the element of left or right that it belongs to).
template <class Body>
void for_each_element(Tensor left, Tensor right, Tensor x, Body body) {
  const int64_t A = left.shape.back();
  for (int64_t t = 0; t < x.shape.rows(); ++t) {
    for (int64_t c = 0; c < x.shape.back(); ++c) {
      body(element(x, t, c), c < A ? element(left, t, c) : element(right, t, c - A));
    }
  }
}

}  // namespace

void split_columns(const SplitColumnsArgs& a) {
  for_each_element(a.left, a.right, a.x,
                   [&](std::byte* whole, std::byte* part) { std::memcpy(part, whole, size_of(a.x.dtype)); });
}

void concat_columns(const ConcatColumnsArgs& a) {
  for_each_element(a.left, a.right, a.x,
                   [&](std::byte* whole, std::byte* part) { std::memcpy(whole, part, size_of(a.x.dtype)); });
}

}  // namespace birkhoff::reference

#include <algorithm>
#include <cstddef>

#include "kernels/core/cpu/parallel.h"
#include "kernels/elementwise/split_columns.h"

namespace birkhoff::cpu {
namespace {

// Calls body(row of left, row of right, row of x, bytes of left, bytes of right).
template <class Body>
void for_each_row(Tensor left, Tensor right, Tensor x, Body body) {
  const size_t L = static_cast<size_t>(left.shape.back()) * size_of(x.dtype);
  const size_t R = static_cast<size_t>(right.shape.back()) * size_of(x.dtype);
  auto* l = static_cast<std::byte*>(left.data);
  auto* r = static_cast<std::byte*>(right.data);
  auto* both = static_cast<std::byte*>(x.data);
  parallel_for(x.shape.rows(), 1 + 65536 / static_cast<int64_t>(L + R + 1), [&](int64_t begin, int64_t end) {
    for (size_t t = static_cast<size_t>(begin); t < static_cast<size_t>(end); ++t) {
      body(l + t * L, r + t * R, both + t * (L + R), L, R);
    }
  });
}

}  // namespace

void split_columns(const SplitColumnsArgs& a) {
  for_each_row(a.left, a.right, a.x, [](std::byte* l, std::byte* r, const std::byte* x, size_t L, size_t R) {
    std::copy_n(x, L, l);
    std::copy_n(x + L, R, r);
  });
}

void concat_columns(const ConcatColumnsArgs& a) {
  for_each_row(a.left, a.right, a.x, [](const std::byte* l, const std::byte* r, std::byte* x, size_t L, size_t R) {
    std::copy_n(l, L, x);
    std::copy_n(r, R, x + L);
  });
}

}  // namespace birkhoff::cpu

#include <cstring>

#include "kernels/core/cpu/parallel.h"
#include "kernels/elementwise/split_columns.h"

namespace birkhoff::cpu {
namespace {

// move(whole, left, right, left bytes, right bytes) for every row.
template <class Move>
void for_rows(const ColumnsArgs& a, Move move) {
  const size_t size = size_of(a.whole.dtype);
  const size_t A = static_cast<size_t>(a.left.shape.back()) * size,
               B = static_cast<size_t>(a.right.shape.back()) * size;
  auto *whole = static_cast<char*>(a.whole.data), *left = static_cast<char*>(a.left.data),
       *right = static_cast<char*>(a.right.data);
  parallel_for(a.whole.shape.rows(), 1 + 65536 / static_cast<int64_t>(A + B + 1), [&](int64_t begin, int64_t end) {
    for (size_t r = static_cast<size_t>(begin); r < static_cast<size_t>(end); ++r) {
      move(whole + r * (A + B), left + r * A, right + r * B, A, B);
    }
  });
}

}  // namespace

void split_columns(const ColumnsArgs& a) {
  for_rows(a, [](char* whole, char* left, char* right, size_t A, size_t B) {
    std::memcpy(left, whole, A);
    std::memcpy(right, whole + A, B);
  });
}

void join_columns(const ColumnsArgs& a) {
  for_rows(a, [](char* whole, char* left, char* right, size_t A, size_t B) {
    std::memcpy(whole, left, A);
    std::memcpy(whole + A, right, B);
  });
}

}  // namespace birkhoff::cpu

#include "kernels/elementwise/split_columns.h"

namespace birkhoff::reference {

void split_columns(const ColumnsArgs& a) {
  const int64_t A = a.left.shape.back(), B = a.right.shape.back();
  for (int64_t r = 0; r < a.whole.shape.rows(); ++r) {
    const double* whole = a.whole.as<double>() + r * (A + B);
    for (int64_t c = 0; c < A; ++c) a.left.as<double>()[r * A + c] = whole[c];
    for (int64_t c = 0; c < B; ++c) a.right.as<double>()[r * B + c] = whole[A + c];
  }
}

void join_columns(const ColumnsArgs& a) {
  const int64_t A = a.left.shape.back(), B = a.right.shape.back();
  for (int64_t r = 0; r < a.whole.shape.rows(); ++r) {
    double* whole = a.whole.as<double>() + r * (A + B);
    for (int64_t c = 0; c < A; ++c) whole[c] = a.left.as<double>()[r * A + c];
    for (int64_t c = 0; c < B; ++c) whole[A + c] = a.right.as<double>()[r * B + c];
  }
}

}  // namespace birkhoff::reference

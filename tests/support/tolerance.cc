#include "tests/support/tolerance.h"

#include <cmath>

namespace birkhoff::test {

double bound(DType dtype, int64_t reduction) {
  // 2^-23 is the spacing of f32 at 1. The rounding errors of a sum grow like a random walk, hence the square root.
  const double sum = 0x1p-23 * (4 + std::sqrt(static_cast<double>(reduction)));
  switch (dtype) {
    case DType::bf16:
      return 0x1p-8 + sum;
    case DType::f32:
      return 4 * sum;
    default:
      return 1e-12;
  }
}

}  // namespace birkhoff::test

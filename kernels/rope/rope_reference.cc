#include <algorithm>

#include "kernels/core/cpu/check_indices.h"
#include "kernels/rope/rope.h"

namespace birkhoff::reference {

void rope(const RopeArgs& a) {
  check_indices("rope: position of token", a.positions, a.table.shape[0]);
  const int64_t H = a.x.shape[1], E = a.x.shape[2], pairs = a.table.shape[1];
  const bool interleaved = a.layout == RopeLayout::interleaved;
  const double sign = a.direction == RopeDirection::forward ? 1 : -1;
  if (a.y.data != a.x.data) std::copy_n(a.x.as<double>(), a.x.count(), a.y.as<double>());
  for (int64_t row = 0; row < a.x.shape[0] * H; ++row) {
    double* y = a.y.as<double>() + row * E + a.offset;
    const double* turn = a.table.as<double>() + a.positions.as<int32_t>()[row / H] * pairs * 2;
    for (int64_t i = 0; i < pairs; ++i) {
      double &p = y[interleaved ? 2 * i : i], &q = y[interleaved ? 2 * i + 1 : i + pairs];
      const double x0 = p, x1 = q, c = turn[2 * i], s = sign * turn[2 * i + 1];
      p = x0 * c - x1 * s;
      q = x0 * s + x1 * c;
    }
  }
}

}  // namespace birkhoff::reference

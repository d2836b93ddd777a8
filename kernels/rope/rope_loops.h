#pragma once
#include "kernels/core/error.h"
#include "kernels/rope/rope.h"

namespace birkhoff {

// Tokens [begin, end) of rope(), elements of type T, angles of type Angle.
template <class T, class Angle>
void rope_tokens(const RopeArgs& a, int64_t begin, int64_t end) {
  const int64_t H = a.x.shape[1], D = a.x.shape[2], pairs = a.table.shape[1];
  const bool half = a.pairs == RopePairs::half;
  const int64_t step = half ? 1 : 2, partner = half ? pairs : 1;
  const Angle sign = a.direction == RopeDirection::inverse ? -1 : 1;
  for (int64_t t = begin; t < end; ++t) {
    const int64_t position = a.positions.as<int32_t>()[t];
    BK_ASSERT(position >= 0 && position < a.table.shape[0], "position ", position, " of ", a.table.shape[0]);
    const Angle* angles = a.table.as<Angle>() + position * pairs * 2;
    for (int64_t h = 0; h < H; ++h) {
      T* x = a.x.as<T>() + (t * H + h) * D + a.offset;
      for (int64_t i = 0; i < pairs; ++i) {
        const Angle c = angles[2 * i], s = sign * angles[2 * i + 1];
        const Angle u = static_cast<Angle>(x[i * step]), v = static_cast<Angle>(x[i * step + partner]);
        x[i * step] = static_cast<T>(u * c - v * s);
        x[i * step + partner] = static_cast<T>(u * s + v * c);
      }
    }
  }
}

}  // namespace birkhoff

#pragma once
// Rotation of heads in host memory, shared by the cpu device (T f32 or bf16, A f32) and the reference (both f64).
#include <algorithm>

#include "kernels/rope/rope.h"

namespace birkhoff {

template <class T, class A>
void rotate_head(T* y, const T* x, const A* cos_sin, int64_t pairs, RopeLayout layout, A sign) {
  const int64_t step = layout == RopeLayout::interleaved ? 2 : 1;
  const int64_t partner = layout == RopeLayout::interleaved ? 1 : pairs;
  for (int64_t i = 0; i < pairs; ++i) {
    const A c = cos_sin[2 * i], s = sign * cos_sin[2 * i + 1];
    const A x0 = static_cast<A>(x[i * step]), x1 = static_cast<A>(x[i * step + partner]);
    y[i * step] = static_cast<T>(x0 * c - x1 * s);
    y[i * step + partner] = static_cast<T>(x0 * s + x1 * c);
  }
}

// Tokens [begin, end).
template <class T, class A>
void rotate_tokens(const RopeArgs& a, int64_t begin, int64_t end) {
  const int64_t H = a.x.shape[1], E = a.x.shape[2], pairs = a.table.shape[1], tail = a.offset + 2 * pairs;
  const A sign = a.direction == RopeDirection::forward ? A{1} : A{-1};
  for (int64_t t = begin; t < end; ++t) {
    const A* cos_sin = a.table.as<A>() + a.positions.as<int32_t>()[t] * pairs * 2;
    for (int64_t h = 0; h < H; ++h) {
      const T* x = a.x.as<T>() + (t * H + h) * E;
      T* y = a.y.as<T>() + (t * H + h) * E;
      rotate_head(y + a.offset, x + a.offset, cos_sin, pairs, a.layout, sign);
      if (x == y) continue;
      std::copy_n(x, a.offset, y);
      std::copy_n(x + tail, E - tail, y + tail);
    }
  }
}

}  // namespace birkhoff

#include "kernels/rope/rope_simd.h"

#include <utility>

#include "kernels/core/cpu/lanes.h"

namespace birkhoff::cpu {
namespace {

using Index = std::make_integer_sequence<int, kLanes>;

// From (c0, s0, c1, s1, ...): (c0, c0, c1, c1, ...) if `first` is 0, (s0, s0, s1, s1, ...) if it is 1.
template <int first, int... I>
[[gnu::always_inline]] inline Lanes duplicated(Lanes v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, (I / 2 * 2 + first)...);
}
// From (x0, x1, x2, x3, ...): (x1, x0, x3, x2, ...).
template <int... I>
[[gnu::always_inline]] inline Lanes swapped(Lanes v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, (I ^ 1)...);
}
// Every second lane of a and b, beginning at lane `first`.
template <int first, int... I>
[[gnu::always_inline]] inline Lanes every_second(Lanes a, Lanes b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (2 * I + first)...);
}
template <int... I>
[[gnu::always_inline]] inline Lanes alternating(float even, std::integer_sequence<int, I...>) {
  return Lanes{(I % 2 == 0 ? even : -even)...};
}

// The loop over heads is the inner one, so that a register of the table serves all heads of a token.
template <class T>
void rotate_interleaved(T* y, const T* x, const float* table, const RopeTokens<T>& a) {
  const Lanes sign = alternating(-a.sign, Index());
  for_lanes(2 * a.pairs, [&](int64_t c, int64_t n) {
    const Lanes angle = load_lanes(table + c, n);
    const Lanes cosine = duplicated<0>(angle, Index()), sine = duplicated<1>(angle, Index()) * sign;
    for (int64_t h = 0; h < a.heads; ++h) {
      const Lanes v = load_lanes(x + h * a.width + c, n);
      store_lanes(y + h * a.width + c, v * cosine + swapped(v, Index()) * sine, n);
    }
  });
}

template <class T>
void rotate_half(T* y, const T* x, const float* table, const RopeTokens<T>& a) {
  for_lanes(a.pairs, [&](int64_t i, int64_t n) {
    const int64_t low = 2 * n < kLanes ? 2 * n : kLanes;
    const Lanes p = load_lanes(table + 2 * i, low), q = load_lanes(table + 2 * i + low, 2 * n - low);
    const Lanes cosine = every_second<0>(p, q, Index()), sine = every_second<1>(p, q, Index()) * a.sign;
    for (int64_t h = 0; h < a.heads; ++h) {
      const int64_t at = h * a.width + i;
      const Lanes x0 = load_lanes(x + at, n), x1 = load_lanes(x + at + a.pairs, n);
      store_lanes(y + at, x0 * cosine - x1 * sine, n);
      store_lanes(y + at + a.pairs, x0 * sine + x1 * cosine, n);
    }
  });
}

template <class T>
void copy_others(T* y, const T* x, const RopeTokens<T>& a) {
  const int64_t tail = a.offset + 2 * a.pairs;
  for (int64_t h = 0; h < a.heads; ++h, x += a.width, y += a.width) {
    __builtin_memcpy(static_cast<void*>(y), x, static_cast<size_t>(a.offset) * sizeof(T));
    __builtin_memcpy(static_cast<void*>(y + tail), x + tail, static_cast<size_t>(a.width - tail) * sizeof(T));
  }
}

template <class T, void (*rotate)(T*, const T*, const float*, const RopeTokens<T>&)>
void tokens(const RopeTokens<T>& a) {
  for (int64_t t = a.begin; t < a.end; ++t) {
    const int64_t at = t * a.heads * a.width;
    if (a.y != a.x) copy_others(a.y + at, a.x + at, a);
    rotate(a.y + at + a.offset, a.x + at + a.offset, a.table + a.positions[t] * a.pairs * 2, a);
  }
}

}  // namespace

template <>
RopeKernels<float> rope_tokens<kThisIsa, float>() {
  return {tokens<float, rotate_interleaved<float>>, tokens<float, rotate_half<float>>};
}
template <>
RopeKernels<bfloat16> rope_tokens<kThisIsa, bfloat16>() {
  return {tokens<bfloat16, rotate_interleaved<bfloat16>>, tokens<bfloat16, rotate_half<bfloat16>>};
}

}  // namespace birkhoff::cpu

#include "kernels/core/cpu/simd.h"
#include "kernels/moe/moe_simd.h"

namespace birkhoff::cpu {
namespace {

// The first k at or after `k` that has a row, or K.
int64_t next(const int32_t* row_of, int64_t k, int64_t K) {
  while (k < K && row_of[k] < 0) ++k;
  return k;
}

// Channels summed at a time, in a buffer that stays in the L1 cache.
constexpr int64_t kBlock = 2048;

template <class T>
void forward(T* y, const T* base, const T* rows, const float* gate, const int32_t* row_of, int64_t K, int64_t C) {
  float sum[kBlock];
  for (int64_t first = 0; first < C; first += kBlock) {
    const int64_t n = C - first < kBlock ? C - first : kBlock;
    if (base) {
      for (int64_t c = 0; c < n; ++c) sum[c] = load(base + first + c);
    } else {
      for (int64_t c = 0; c < n; ++c) sum[c] = 0;
    }
    int64_t k = next(row_of, 0, K), l = next(row_of, k + 1, K);
    for (; l < K; k = next(row_of, l + 1, K), l = next(row_of, k + 1, K)) {
      // Two rows at a time, so that their cache misses overlap.
      const T *row0 = rows + row_of[k] * C + first, *row1 = rows + row_of[l] * C + first;
      const float g0 = gate ? gate[k] : 1.0f, g1 = gate ? gate[l] : 1.0f;
      for (int64_t c = 0; c < n; ++c) sum[c] = sum[c] + g0 * load(row0 + c) + g1 * load(row1 + c);
    }
    if (k < K) {
      const T* row = rows + row_of[k] * C + first;
      const float g = gate ? gate[k] : 1.0f;
      for (int64_t c = 0; c < n; ++c) sum[c] += g * load(row + c);
    }
    for (int64_t c = 0; c < n; ++c) store(y + first + c, sum[c]);
  }
}

template <class T>
void backward(T* drows, float* dgate, const T* dy, const T* rows, const float* gate, const int32_t* row_of, int64_t K,
              int64_t C) {
  for (int64_t k = 0; k < K; ++k) {
    if (row_of[k] < 0) {
      if (dgate) dgate[k] = 0;
      continue;
    }
    const int64_t first = row_of[k] * C;
    if (dgate) {
      float dot = 0;
      for (int64_t c = 0; c < C; ++c) dot += load(dy + c) * load(rows + first + c);
      dgate[k] = dot;
    }
    const float g = gate ? gate[k] : 1.0f;
    for (int64_t c = 0; c < C; ++c) store(drows + first + c, g * load(dy + c));
  }
}

}  // namespace

template <>
CombineToken<float> combine_token<kThisIsa, float>() {
  return {forward<float>, backward<float>};
}
template <>
CombineToken<bfloat16> combine_token<kThisIsa, bfloat16>() {
  return {forward<bfloat16>, backward<bfloat16>};
}

}  // namespace birkhoff::cpu

#include "kernels/core/cpu/lanes.h"
#include "kernels/elementwise/elementwise_simd.h"

namespace birkhoff::cpu {
namespace {

template <class T>
void add(T* y, const float* bias, int64_t rows, int64_t C) {
  for (int64_t t = 0; t < rows; ++t, y += C) {
    for_lanes(C, [&](int64_t c, int64_t n) { store_lanes(y + c, load_lanes(y + c, n) + load_lanes(bias + c, n), n); });
  }
}

// Sums kVectors registers of columns over the rows. n is kLanes, or less for the last columns of a row.
template <int kVectors, class T>
void sum_columns(float* sum, const T* dy, int64_t rows, int64_t C, int64_t n) {
  Lanes total[kVectors] = {};
  for (int64_t t = 0; t < rows; ++t, dy += C) {
    for (int v = 0; v < kVectors; ++v) total[v] += load_lanes(dy + v * kLanes, n);
  }
  for (int v = 0; v < kVectors; ++v) store_lanes(sum + v * kLanes, total[v], n);
}

template <class T>
void sum_rows(float* sum, const T* dy, int64_t rows, int64_t C) {
  constexpr int kVectors = 8;
  int64_t c = 0;
  for (; c + kVectors * kLanes <= C; c += kVectors * kLanes) sum_columns<kVectors>(sum + c, dy + c, rows, C, kLanes);
  for (; c < C; c += kLanes) sum_columns<1>(sum + c, dy + c, rows, C, C - c < kLanes ? C - c : kLanes);
}

}  // namespace

template <>
BiasRows<float> bias_rows<kThisIsa, float>() {
  return {add<float>, sum_rows<float>};
}
template <>
BiasRows<bfloat16> bias_rows<kThisIsa, bfloat16>() {
  return {add<bfloat16>, sum_rows<bfloat16>};
}

}  // namespace birkhoff::cpu

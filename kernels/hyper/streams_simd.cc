#include "kernels/core/cpu/lanes.h"
#include "kernels/hyper/hyper_simd.h"

namespace birkhoff::cpu {
namespace {

template <class T>
void expand(T* x, const T* h, float factor, int64_t rows, int64_t S, int64_t C) {
  for (int64_t t = 0; t < rows; ++t, h += C, x += S * C) {
    for_lanes(C, [&](int64_t c, int64_t n) {
      const Lanes value = factor * load_lanes(h + c, n);
      for (int64_t i = 0; i < S; ++i) store_lanes(x + i * C + c, value, n);
    });
  }
}

template <class T>
void collapse(T* h, const T* x, float factor, int64_t rows, int64_t S, int64_t C) {
  for (int64_t t = 0; t < rows; ++t, h += C, x += S * C) {
    for_lanes(C, [&](int64_t c, int64_t n) {
      Lanes total = load_lanes(x + c, n);
      for (int64_t i = 1; i < S; ++i) total += load_lanes(x + i * C + c, n);
      store_lanes(h + c, factor * total, n);
    });
  }
}

}  // namespace

template <>
HyperStreamRows<float> hyper_stream_rows<kThisIsa, float>() {
  return {expand<float>, collapse<float>};
}
template <>
HyperStreamRows<bfloat16> hyper_stream_rows<kThisIsa, bfloat16>() {
  return {expand<bfloat16>, collapse<bfloat16>};
}

}  // namespace birkhoff::cpu

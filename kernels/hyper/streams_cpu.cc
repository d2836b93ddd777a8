#include <algorithm>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/hyper/hyper_simd.h"
#include "kernels/hyper/streams.h"

namespace birkhoff::cpu {
namespace {

template <class T>
const HyperStreamRows<T>& kernels() {
  static const auto rows = on_best_isa([]<Isa isa>() { return hyper_stream_rows<isa, T>(); });
  return rows;
}

int64_t tokens_per_thread(int64_t N) { return 1 + 16384 / std::max<int64_t>(N, 1); }

}  // namespace

void hyper_expand(const HyperExpandArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(T, tokens_per_thread(S * C), [&](int64_t t, int64_t end) {
      kernels<E>().expand(a.x.as<E>() + t * S * C, a.h.as<E>() + t * C, static_cast<float>(a.factor), end - t, S, C);
    });
  });
}

void hyper_collapse(const HyperCollapseArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(T, tokens_per_thread(S * C), [&](int64_t t, int64_t end) {
      kernels<E>().collapse(a.h.as<E>() + t * C, a.x.as<E>() + t * S * C, static_cast<float>(a.factor), end - t, S, C);
    });
  });
}

}  // namespace birkhoff::cpu

#include <algorithm>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/hyper/hyper_simd.h"
#include "kernels/hyper/write_mix.h"

namespace birkhoff::cpu {
namespace {

template <class T>
const HyperWriteMixRows<T>& kernels() {
  static const auto rows = on_best_isa([]<Isa isa>() { return hyper_write_mix_rows<isa, T>(); });
  return rows;
}

int64_t tokens_per_thread(int64_t N) { return 1 + 16384 / std::max<int64_t>(N, 1); }

}  // namespace

void hyper_write_mix_forward(const HyperWriteMixArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2], N = S * C;
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(T, tokens_per_thread(N), [&](int64_t t, int64_t end) {
      kernels<E>().forward(a.x_next.as<E>() + t * N, a.x.as<E>() + t * N, a.y.as<E>() + t * C, a.post.f32() + t * S,
                           a.comb.f32() + t * S * S, end - t, S, C);
    });
  });
}

void hyper_write_mix_backward(const HyperWriteMixBackwardArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2], N = S * C;
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(T, tokens_per_thread(N), [&](int64_t t, int64_t end) {
      kernels<E>().backward(a.dx.as<E>() + t * N, a.dy.as<E>() + t * C, a.dpost.f32() + t * S,
                            a.dcomb.f32() + t * S * S, a.dx_next.as<E>() + t * N, a.x.as<E>() + t * N,
                            a.y.as<E>() + t * C, a.post.f32() + t * S, a.comb.f32() + t * S * S, end - t, S, C);
    });
  });
}

}  // namespace birkhoff::cpu

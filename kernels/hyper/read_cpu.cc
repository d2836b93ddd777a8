#include <algorithm>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/hyper/hyper_simd.h"
#include "kernels/hyper/read.h"

namespace birkhoff::cpu {
namespace {

template <class T>
const HyperReadRows<T>& kernels() {
  static const auto rows = on_best_isa([]<Isa isa>() { return hyper_read_rows<isa, T>(); });
  return rows;
}

int64_t tokens_per_thread(int64_t N) { return 1 + 16384 / std::max<int64_t>(N, 1); }

}  // namespace

void hyper_read_forward(const HyperReadArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(T, tokens_per_thread(S * C), [&](int64_t begin, int64_t end) {
      kernels<E>().forward(a.h.as<E>() + begin * C, a.x.as<E>() + begin * S * C, a.pre.f32() + begin * S, end - begin,
                           S, C);
    });
  });
}

void hyper_read_backward(const HyperReadBackwardArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2], N = S * C;
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(T, tokens_per_thread(N), [&](int64_t begin, int64_t end) {
      const E* dh = a.dh.as<E>();
      for (int64_t t = begin; t < end; ++t) {
        kernels<E>().dots(a.dpre.f32() + t * S, dh + t * C, a.x.as<E>() + t * N, 1, S, C);
        kernels<E>().spread(a.dx.as<E>() + t * N, dh + t * C, a.pre.f32() + t * S, 1, S, C);
      }
    });
  });
}

}  // namespace birkhoff::cpu

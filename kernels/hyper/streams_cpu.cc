#include <algorithm>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/hyper/streams.h"

namespace birkhoff::cpu {

void hyper_expand(const HyperExpandArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(T, 1 + 16384 / std::max<int64_t>(S * C, 1), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin * S; row < end * S; ++row) {
        const E* h = a.h.as<E>() + row / S * C;
        E* x = a.x.as<E>() + row * C;
        for (int64_t c = 0; c < C; ++c) x[c] = E(a.factor * static_cast<float>(h[c]));
      }
    });
  });
}

void hyper_collapse(const HyperCollapseArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(T, 1 + 16384 / std::max<int64_t>(S * C, 1), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const E* x = a.x.as<E>() + t * S * C;
        for (int64_t c = 0; c < C; ++c) {
          float sum = 0;
          for (int64_t i = 0; i < S; ++i) sum += static_cast<float>(x[i * C + c]);
          a.h.as<E>()[t * C + c] = E(a.factor * sum);
        }
      }
    });
  });
}

}  // namespace birkhoff::cpu

#include "kernels/activation/activation_simd.h"
#include "kernels/activation/gelu.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"

namespace birkhoff::cpu {

void gelu_forward(const GeluArgs& a) {
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(a.x.count(), 8192, [&](int64_t begin, int64_t end) {
      best_activation_rows<E>().gelu(a.y.as<E>() + begin, a.x.as<E>() + begin, end - begin);
    });
  });
}

void gelu_backward(const GeluBackwardArgs& a) {
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(a.x.count(), 8192, [&](int64_t begin, int64_t end) {
      best_activation_rows<E>().gelu_backward(a.dx.as<E>() + begin, a.dy.as<E>() + begin, a.x.as<E>() + begin,
                                              end - begin);
    });
  });
}

}  // namespace birkhoff::cpu

#include "kernels/activation/activation_simd.h"
#include "kernels/activation/gelu.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"

namespace birkhoff::cpu {
namespace {

constexpr int64_t kGrain = 8192;

template <class T>
GeluValues<T> kernels() {
  static const auto kernels = on_best_isa([]<Isa isa>() { return gelu_values<isa, T>(); });
  return kernels;
}

}  // namespace

void gelu_forward(const GeluArgs& a) {
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(a.x.count(), kGrain, [&](int64_t begin, int64_t end) {
      kernels<E>().forward(a.y.as<E>() + begin, a.x.as<E>() + begin, end - begin);
    });
  });
}

void gelu_backward(const GeluBackwardArgs& a) {
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(a.x.count(), kGrain, [&](int64_t begin, int64_t end) {
      kernels<E>().backward(a.dx.as<E>() + begin, a.dy.as<E>() + begin, a.x.as<E>() + begin, end - begin);
    });
  });
}

}  // namespace birkhoff::cpu

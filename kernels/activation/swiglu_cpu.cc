#include <limits>

#include "kernels/activation/activation_simd.h"
#include "kernels/activation/swiglu.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"

namespace birkhoff::cpu {
namespace {
float limit_of(float clamp) { return clamp > 0 ? clamp : std::numeric_limits<float>::infinity(); }
int64_t grain(int64_t F) { return 1 + 8192 / std::max<int64_t>(F, 1); }
}  // namespace

void swiglu_forward(const SwigluArgs& a) {
  const int64_t T = a.y.shape.rows(), F = a.y.shape.back();
  const float* scale = a.scale.present() ? a.scale.f32() : nullptr;
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(T, grain(F), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        best_activation_rows<E>().swiglu(a.y.as<E>() + t * F, a.x.as<E>() + t * 2 * F, scale ? scale[t] : 1,
                                         limit_of(a.clamp), F);
      }
    });
  });
}

void swiglu_backward(const SwigluBackwardArgs& a) {
  const int64_t T = a.dy.shape.rows(), F = a.dy.shape.back();
  const float* scale = a.scale.present() ? a.scale.f32() : nullptr;
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(T, grain(F), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const float dscale = best_activation_rows<E>().swiglu_backward(a.dx.as<E>() + t * 2 * F, a.dy.as<E>() + t * F,
                                                                       a.x.as<E>() + t * 2 * F, scale ? scale[t] : 1,
                                                                       limit_of(a.clamp), F);
        if (scale) a.dscale.f32()[t] = dscale;
      }
    });
  });
}

}  // namespace birkhoff::cpu

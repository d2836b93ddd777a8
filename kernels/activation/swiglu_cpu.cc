#include <algorithm>
#include <limits>

#include "kernels/activation/activation_simd.h"
#include "kernels/activation/swiglu.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"

namespace birkhoff::cpu {
namespace {

template <class T>
SwigluRow<T> row_kernels() {
  static const auto kernels = on_best_isa([]<Isa isa>() { return swiglu_row<isa, T>(); });
  return kernels;
}
// The row kernels expect infinity for "no clamp".
float bound(double clamp) {
  const auto rounded = static_cast<float>(clamp);
  return rounded > 0 ? rounded : std::numeric_limits<float>::infinity();
}
int64_t grain(int64_t F) { return 1 + 8192 / std::max<int64_t>(F, 1); }

}  // namespace

void swiglu_forward(const SwigluArgs& a) {
  const int64_t F = a.y.shape.back();
  const float* scale = a.row_scale.present() ? a.row_scale.f32() : nullptr;
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(a.y.shape.rows(), grain(F), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        row_kernels<E>().forward(a.y.as<E>() + t * F, a.x.as<E>() + t * 2 * F, scale ? scale[t] : 1.0f, bound(a.clamp),
                                 F);
      }
    });
  });
}

void swiglu_backward(const SwigluBackwardArgs& a) {
  const int64_t F = a.dy.shape.back();
  const float* scale = a.row_scale.present() ? a.row_scale.f32() : nullptr;
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(a.dy.shape.rows(), grain(F), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const float dscale =
            row_kernels<E>().backward(a.dx.as<E>() + t * 2 * F, a.dy.as<E>() + t * F, a.x.as<E>() + t * 2 * F,
                                      scale ? scale[t] : 1.0f, bound(a.clamp), F);
        if (scale) a.drow_scale.f32()[t] = dscale;
      }
    });
  });
}

}  // namespace birkhoff::cpu

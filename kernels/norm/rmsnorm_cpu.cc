#include <algorithm>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/norm/norm_simd.h"
#include "kernels/norm/rmsnorm.h"

namespace birkhoff::cpu {
namespace {

// Rows of one partial sum of dgain. The number is fixed, so the order of summation does not depend on the number of
// threads.
constexpr int64_t kRowsPerPart = 64;

template <class T>
RmsNormRows<T> rows_kernels() {
  static const auto kernels = on_best_isa([]<Isa isa>() { return rmsnorm_rows<isa, T>(); });
  return kernels;
}

}  // namespace

void rmsnorm_forward(const RmsNormArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  const float* gain = a.gain.present() ? a.gain.f32() : nullptr;
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(T, 1 + 16384 / std::max<int64_t>(C, 1), [&](int64_t begin, int64_t end) {
      rows_kernels<E>().forward(a.y.as<E>() + begin * C, a.rstd.f32() + begin, a.x.as<E>() + begin * C, gain,
                                end - begin, C, static_cast<float>(a.eps));
    });
  });
}

void rmsnorm_backward(const RmsNormBackwardArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  const float* gain = a.gain.present() ? a.gain.f32() : nullptr;
  const int64_t parts = (T + kRowsPerPart - 1) / kRowsPerPart;
  Scratch<float> partial(gain ? parts * C : 0, 0.0f);
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t t = p * kRowsPerPart, rows = std::min(kRowsPerPart, T - t);
        rows_kernels<E>().backward(a.dx.as<E>() + t * C, gain ? partial.data() + p * C : nullptr, a.dy.as<E>() + t * C,
                                   a.x.as<E>() + t * C, gain, a.rstd.f32() + t, rows, C);
      }
    });
  });
  for (int64_t p = 0; gain && p < parts; ++p) {
    for (int64_t c = 0; c < C; ++c) a.dgain.f32()[c] += partial[p * C + c];
  }
}

}  // namespace birkhoff::cpu

#include <algorithm>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/elementwise/bias.h"
#include "kernels/elementwise/elementwise_simd.h"

namespace birkhoff::cpu {
namespace {

// Rows of one partial sum. The number is fixed, so the order of summation does not depend on the number of threads.
constexpr int64_t kRowsPerPart = 64;

template <class T>
const BiasRows<T>& kernels() {
  static const auto rows = on_best_isa([]<Isa isa>() { return bias_rows<isa, T>(); });
  return rows;
}

}  // namespace

void add_bias(const AddBiasArgs& a) {
  const int64_t C = a.y.shape.back(), T = a.y.shape.rows();
  with_activation_type(a.y.dtype, [&]<class E>() {
    parallel_for(T, 1 + 16384 / std::max<int64_t>(C, 1), [&](int64_t begin, int64_t end) {
      kernels<E>().add(a.y.as<E>() + begin * C, a.bias.f32(), end - begin, C);
    });
  });
}

void bias_gradient(const BiasGradientArgs& a) {
  const int64_t C = a.dy.shape.back(), T = a.dy.shape.rows(), parts = (T + kRowsPerPart - 1) / kRowsPerPart;
  Scratch<float> sums(parts * C);
  with_activation_type(a.dy.dtype, [&]<class E>() {
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t t = p * kRowsPerPart;
        kernels<E>().sum(sums.data() + p * C, a.dy.as<E>() + t * C, std::min(kRowsPerPart, T - t), C);
      }
    });
  });
  for (int64_t p = 0; p < parts; ++p) {
    for (int64_t c = 0; c < C; ++c) a.dbias.f32()[c] += sums[p * C + c];
  }
}

}  // namespace birkhoff::cpu

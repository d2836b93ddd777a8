#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/elementwise/bias.h"

namespace birkhoff::cpu {

void add_bias(const AddBiasArgs& a) {
  const int64_t C = a.y.shape.back(), T = a.y.shape.rows();
  const float* bias = a.bias.f32();
  with_activation_type(a.y.dtype, [&]<class E>() {
    parallel_for(T, 1 + 16384 / std::max<int64_t>(C, 1), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        E* y = a.y.as<E>() + t * C;
        for (int64_t c = 0; c < C; ++c) y[c] = static_cast<E>(static_cast<float>(y[c]) + bias[c]);
      }
    });
  });
}

// Threads share out the columns, so every column is summed in the order of the tokens.
void bias_gradient(const BiasGradientArgs& a) {
  const int64_t C = a.dy.shape.back(), T = a.dy.shape.rows();
  float* dbias = a.dbias.f32();
  with_activation_type(a.dy.dtype, [&]<class E>() {
    parallel_for(C, 64, [&](int64_t begin, int64_t end) {
      for (int64_t t = 0; t < T; ++t) {
        const E* dy = a.dy.as<E>() + t * C;
        for (int64_t c = begin; c < end; ++c) dbias[c] += static_cast<float>(dy[c]);
      }
    });
  });
}

}  // namespace birkhoff::cpu

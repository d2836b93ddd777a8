#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/embedding/embedding.h"

namespace birkhoff::cpu {

void embedding_forward(const EmbeddingArgs& a) {
  const int64_t C = a.table.shape[1];
  with_activation_type(a.y.dtype, [&]<class E>() {
    parallel_for(a.ids.count(), 1 + 16384 / std::max<int64_t>(C, 1), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t id = a.ids.as<int32_t>()[t];
        BK_ASSERT(id >= 0 && id < a.table.shape[0], "token id ", id, " of ", a.table.shape[0]);
        const float* row = a.table.f32() + id * C;
        E* y = a.y.as<E>() + t * C;
        for (int64_t c = 0; c < C; ++c)
          y[c] = static_cast<E>(row[c] + (a.accumulate ? static_cast<float>(y[c]) : 0.0f));
      }
    });
  });
}

void embedding_backward(const EmbeddingBackwardArgs& a) {
  const int64_t C = a.dtable.shape[1];
  with_activation_type(a.dy.dtype, [&]<class E>() {
    parallel_for(C, 64, [&](int64_t begin, int64_t end) {
      for (int64_t t = 0; t < a.ids.count(); ++t) {
        float* row = a.dtable.f32() + a.ids.as<int32_t>()[t] * C;
        const E* dy = a.dy.as<E>() + t * C;
        for (int64_t c = begin; c < end; ++c) row[c] += static_cast<float>(dy[c]);
      }
    });
  });
}

}  // namespace birkhoff::cpu

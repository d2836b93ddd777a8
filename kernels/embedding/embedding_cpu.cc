#include <algorithm>

#include "kernels/core/cpu/convert.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/embedding/embedding.h"
#include "kernels/embedding/held_rows.h"

namespace birkhoff::cpu {

void embedding_forward(const EmbeddingArgs& a) {
  const int64_t C = a.table.shape[1];
  const int32_t* ids = a.ids.as<int32_t>();
  const float* table = a.table.f32();
  const HeldRows held(a, a.table);
  with_activation_type(a.y.dtype, [&]<class E>() {
    E* y = a.y.as<E>();
    parallel_for(a.ids.count(), 1 + 16384 / std::max<int64_t>(C, 1), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t row = held.row(ids[t]);
        if (row < 0) {
          std::fill_n(y + t * C, C, E(0.0f));
        } else {
          convert(y + t * C, table + row * C, C);
        }
      }
    });
  });
}

// Each thread owns a range of columns, so every row is summed in the order of the tokens.
void embedding_backward(const EmbeddingBackwardArgs& a) {
  constexpr int64_t kColumns = 64;
  const int64_t C = a.dtable.shape[1], T = a.ids.count();
  const int32_t* ids = a.ids.as<int32_t>();
  float* dtable = a.dtable.f32();
  const HeldRows held(a, a.dtable);
  with_activation_type(a.dy.dtype, [&]<class E>() {
    const E* dy = a.dy.as<E>();
    parallel_for((C + kColumns - 1) / kColumns, 1, [&](int64_t begin, int64_t end) {
      const int64_t first = begin * kColumns, last = std::min(end * kColumns, C);
      for (int64_t t = 0; t < T; ++t) {
        const int64_t row = held.row(ids[t]);
        if (row < 0) continue;
        for (int64_t c = first; c < last; ++c) dtable[row * C + c] += static_cast<float>(dy[t * C + c]);
      }
    });
  });
}

}  // namespace birkhoff::cpu

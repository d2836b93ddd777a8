#include "kernels/embedding/embedding.h"
#include "kernels/embedding/held_rows.h"

namespace birkhoff::reference {

void embedding_forward(const EmbeddingArgs& a) {
  const int64_t C = a.table.shape[1];
  const HeldRows held(a, a.table);
  for (int64_t t = 0; t < a.ids.count(); ++t) {
    const int64_t row = held.row(a.ids.as<int32_t>()[t]);
    double* y = a.y.as<double>() + t * C;
    for (int64_t c = 0; c < C; ++c) y[c] = row < 0 ? 0 : a.table.as<double>()[row * C + c];
  }
}

void embedding_backward(const EmbeddingBackwardArgs& a) {
  const int64_t C = a.dtable.shape[1];
  const HeldRows held(a, a.dtable);
  for (int64_t t = 0; t < a.ids.count(); ++t) {
    const int64_t row = held.row(a.ids.as<int32_t>()[t]);
    for (int64_t c = 0; row >= 0 && c < C; ++c) a.dtable.as<double>()[row * C + c] += a.dy.as<double>()[t * C + c];
  }
}

}  // namespace birkhoff::reference

#include "kernels/core/error.h"
#include "kernels/embedding/embedding.h"

namespace birkhoff::reference {

void embedding_forward(const EmbeddingArgs& a) {
  const int64_t C = a.table.shape[1];
  for (int64_t t = 0; t < a.ids.count(); ++t) {
    const int64_t id = a.ids.as<int32_t>()[t];
    BK_ASSERT(id >= 0 && id < a.table.shape[0], "token id ", id, " of ", a.table.shape[0]);
    for (int64_t c = 0; c < C; ++c) {
      double& y = a.y.as<double>()[t * C + c];
      y = (a.accumulate ? y : 0) + a.table.as<double>()[id * C + c];
    }
  }
}

void embedding_backward(const EmbeddingBackwardArgs& a) {
  const int64_t C = a.dtable.shape[1];
  for (int64_t t = 0; t < a.ids.count(); ++t) {
    const int64_t id = a.ids.as<int32_t>()[t];
    for (int64_t c = 0; c < C; ++c) a.dtable.as<double>()[id * C + c] += a.dy.as<double>()[t * C + c];
  }
}

}  // namespace birkhoff::reference

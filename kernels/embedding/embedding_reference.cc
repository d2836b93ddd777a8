#include <algorithm>

#include "kernels/core/cpu/check_indices.h"
#include "kernels/embedding/embedding.h"

namespace birkhoff::reference {

void embedding_forward(const EmbeddingArgs& a) {
  const int64_t C = a.table.shape[1];
  check_indices("embedding: id of token", a.ids, a.table.shape[0]);
  for (int64_t t = 0; t < a.ids.count(); ++t) {
    std::copy_n(a.table.as<double>() + a.ids.as<int32_t>()[t] * C, C, a.y.as<double>() + t * C);
  }
}

void embedding_backward(const EmbeddingBackwardArgs& a) {
  const int64_t C = a.dtable.shape[1];
  check_indices("embedding: id of token", a.ids, a.dtable.shape[0]);
  for (int64_t t = 0; t < a.ids.count(); ++t) {
    double* row = a.dtable.as<double>() + a.ids.as<int32_t>()[t] * C;
    for (int64_t c = 0; c < C; ++c) row[c] += a.dy.as<double>()[t * C + c];
  }
}

}  // namespace birkhoff::reference

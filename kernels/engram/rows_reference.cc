#include "kernels/core/error.h"
#include "kernels/engram/rows.h"

namespace birkhoff::reference {

void engram_gather_forward(const EngramGatherArgs& a) {
  const int64_t U = a.rows.shape[0], D = a.rows.shape[1];
  for (int64_t slot = 0; slot < a.index.count(); ++slot) {
    const int64_t u = a.index.as<int32_t>()[slot];
    BK_ASSERT(u >= 0 && u < U, "row ", u, " of ", U);
    for (int64_t d = 0; d < D; ++d) a.e.as<double>()[slot * D + d] = a.rows.as<double>()[u * D + d];
  }
}

void engram_gather_backward(const EngramGatherBackwardArgs& a) {
  const int64_t U = a.drows.shape[0], D = a.drows.shape[1];
  for (int64_t slot = 0; slot < a.index.count(); ++slot) {
    const int64_t u = a.index.as<int32_t>()[slot];
    BK_ASSERT(u >= 0 && u < U, "row ", u, " of ", U);
    for (int64_t d = 0; d < D; ++d) a.drows.as<double>()[u * D + d] += a.de.as<double>()[slot * D + d];
  }
}

}  // namespace birkhoff::reference

#include "kernels/core/error.h"
#include "kernels/moe/expert_order.h"

namespace birkhoff::reference {

void expert_order(const ExpertOrderArgs& a) {
  const int64_t pairs = a.index.count(), K = a.index.shape.back(), E = a.offsets.count() - 1;
  const int32_t* index = a.index.as<int32_t>();
  int64_t row = 0;
  for (int64_t e = 0; e < E; ++e) {
    a.offsets.as<int64_t>()[e] = row;
    for (int64_t p = 0; p < pairs; ++p) {
      if (index[p] != e) continue;
      a.row_of.as<int32_t>()[p] = static_cast<int32_t>(row);
      a.token_of.as<int32_t>()[row++] = static_cast<int32_t>(p / K);
    }
  }
  a.offsets.as<int64_t>()[E] = row;
  BK_ASSERT(row == pairs, "expert_order: an index is outside [0,", E, ")");
}

}  // namespace birkhoff::reference

#include <algorithm>

#include "kernels/core/cpu/convert.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/engram/rows.h"

namespace birkhoff::cpu {
namespace {

void check_index(const Tensor& index, int64_t U) {
  for (int64_t slot = 0; slot < index.count(); ++slot) {
    const int64_t u = index.as<int32_t>()[slot];
    BK_ASSERT(u >= 0 && u < U, "row ", u, " of ", U);
  }
}

}  // namespace

void engram_gather_forward(const EngramGatherArgs& a) {
  const int64_t D = a.rows.shape[1];
  const int32_t* index = a.index.as<int32_t>();
  check_index(a.index, a.rows.shape[0]);
  with_activation_type(a.e.dtype, [&]<class E>() {
    with_activation_type(a.rows.dtype, [&]<class R>() {
      parallel_for(a.index.count(), 1 + 16384 / std::max<int64_t>(D, 1), [&](int64_t begin, int64_t end) {
        for (int64_t slot = begin; slot < end; ++slot) {
          convert(a.e.as<E>() + slot * D, a.rows.as<R>() + index[slot] * D, D);
        }
      });
    });
  });
}

// Sorts the slots by row (a stable counting sort), so that one thread owns each row and adds its slots in order.
void engram_gather_backward(const EngramGatherBackwardArgs& a) {
  const int64_t U = a.drows.shape[0], D = a.drows.shape[1], slots = a.index.count();
  const int32_t* index = a.index.as<int32_t>();
  check_index(a.index, U);
  Scratch<int64_t> end_of(U + 1, 0), order(slots);
  for (int64_t slot = 0; slot < slots; ++slot) ++end_of[index[slot] + 1];
  for (int64_t u = 0; u < U; ++u) end_of[u + 1] += end_of[u];
  // Advances end_of[u] from the begin to the end of row u's slots.
  for (int64_t slot = 0; slot < slots; ++slot) order[end_of[index[slot]]++] = slot;
  with_activation_type(a.de.dtype, [&]<class E>() {
    parallel_for(U, 1 + 4096 / std::max<int64_t>(D, 1), [&](int64_t first, int64_t last) {
      for (int64_t u = first; u < last; ++u) {
        float* drow = a.drows.f32() + u * D;
        for (int64_t k = u == 0 ? 0 : end_of[u - 1]; k < end_of[u]; ++k) {
          const E* de = a.de.as<E>() + order[k] * D;
          for (int64_t d = 0; d < D; ++d) drow[d] += static_cast<float>(de[d]);
        }
      }
    });
  });
}

}  // namespace birkhoff::cpu

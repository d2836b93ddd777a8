#include "kernels/core/cpu/check_indices.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/rope/rope_rows.h"

namespace birkhoff::cpu {

void rope(const RopeArgs& a) {
  check_indices("rope: position of token", a.positions, a.table.shape[0]);
  const int64_t per_token = a.x.shape[1] * a.x.shape[2];
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(a.x.shape[0], 1 + 16384 / std::max<int64_t>(per_token, 1),
                 [&](int64_t begin, int64_t end) { rotate_tokens<E, float>(a, begin, end); });
  });
}

}  // namespace birkhoff::cpu

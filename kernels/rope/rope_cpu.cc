#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/rope/rope_loops.h"

namespace birkhoff::cpu {

void rope(const RopeArgs& a) {
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(a.x.shape[0], 32, [&](int64_t begin, int64_t end) { rope_tokens<E, float>(a, begin, end); });
  });
}

}  // namespace birkhoff::cpu

#include "kernels/attention/mla_heads_rows.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"

namespace birkhoff::cpu {

void mla_heads_forward(const MlaHeadsArgs& a) {
  with_activation_type(a.k.dtype, [&]<class E>() {
    parallel_for(a.k.shape[0], 4, [&](int64_t begin, int64_t end) { join_heads<E>(a, begin, end); });
  });
}

void mla_heads_backward(const MlaHeadsBackwardArgs& a) {
  with_activation_type(a.dk.dtype, [&]<class E>() {
    parallel_for(a.dk.shape[0], 4, [&](int64_t begin, int64_t end) { split_heads<E, float>(a, begin, end); });
  });
}

}  // namespace birkhoff::cpu

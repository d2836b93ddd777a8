#include "kernels/attention/mla_heads_loops.h"

namespace birkhoff::reference {

void mla_heads_forward(const MlaHeadsArgs& a) { mla_heads_tokens<double>(a, 0, a.k.shape[0]); }

void mla_heads_backward(const MlaHeadsBackwardArgs& a) {
  mla_heads_backward_tokens<double, double>(a, 0, a.dk.shape[0]);
}

}  // namespace birkhoff::reference

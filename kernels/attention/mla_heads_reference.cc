#include "kernels/attention/mla_heads_rows.h"

namespace birkhoff::reference {

void mla_heads_forward(const MlaHeadsArgs& a) { join_heads<double>(a, 0, a.k.shape[0]); }
void mla_heads_backward(const MlaHeadsBackwardArgs& a) { split_heads<double, double>(a, 0, a.dk.shape[0]); }

}  // namespace birkhoff::reference

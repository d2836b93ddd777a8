#include "kernels/rope/rope_loops.h"

namespace birkhoff::reference {

void rope(const RopeArgs& a) { rope_tokens<double, double>(a, 0, a.x.shape[0]); }

}  // namespace birkhoff::reference

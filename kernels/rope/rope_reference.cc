#include "kernels/core/cpu/check_indices.h"
#include "kernels/rope/rope_rows.h"

namespace birkhoff::reference {

void rope(const RopeArgs& a) {
  check_indices("rope: position of token", a.positions, a.table.shape[0]);
  rotate_tokens<double, double>(a, 0, a.x.shape[0]);
}

}  // namespace birkhoff::reference

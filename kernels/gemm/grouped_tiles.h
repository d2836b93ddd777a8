#pragma once
// Products of rows sorted by expert, on the cpu device. They are cut into tiles that depend only on the rows of one
// expert.
#include "kernels/core/tensor.h"
#include "kernels/gemm/tiles.h"

namespace birkhoff::cpu {

// The row ranges of the experts, from offsets [E+1].
struct Groups {
  const int64_t* starts;
  int64_t num;
  int64_t rows() const { return starts[num]; }
  int64_t rows_of(int64_t e) const { return starts[e + 1] - starts[e]; }
};
// BugError unless the offsets start at 0, never decrease, and end within `rows`.
Groups groups_of(Tensor offsets, int64_t rows);

// c[r,:] = a[r,:] b[e] for the rows r of every expert e. The packed b[e] lie `stride_bytes` apart. shape.M is ignored.
struct PackedGroups {
  const void* packed;
  size_t stride_bytes;
};
void matmul_groups(const Matmul& shape, const Groups& groups, void* c, const void* a, const PackedGroups& b);

}  // namespace birkhoff::cpu

#pragma once
#include "kernels/core/dtype.h"

namespace birkhoff {

// What this machine reaches with the threads of the caller's team: the fastest of several calls.
struct Roofline {
  double flops_per_second = 0;  // of one large matrix product, its right side packed before
  double bytes_per_second = 0;  // of a copy much larger than the caches, reads and writes counted
};
// `dtype`: f32 or bf16, of the operands.
Roofline measure_roofline(DType dtype);
// Of two measurements, whichever saw more.
Roofline better(const Roofline& a, const Roofline& b);

}  // namespace birkhoff

#pragma once
#include "kernels/core/dtype.h"

namespace birkhoff {

// The speed that this machine reaches with the threads of the caller's team: the fastest of several calls.
struct Roofline {
  double flops_per_second = 0;  // of one large matrix product whose right operand is already packed
  double bytes_per_second = 0;  // of a copy much larger than the caches; reads and writes both count
};
// `dtype`: dtype of the operands, f32 or bf16.
Roofline measure_roofline(DType dtype);
// For each of the two speeds, the higher one of `a` and `b`.
Roofline better(const Roofline& a, const Roofline& b);

}  // namespace birkhoff

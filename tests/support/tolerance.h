#pragma once
#include <cstdint>

#include "kernels/core/dtype.h"

namespace birkhoff::test {

// The bound for all comparisons of kernels with the reference. An element may differ by at most
//   bound(dtype, reduction) * (|expected| + rms(expected))
// if its inputs are exact in `dtype`, it is computed with sums of `reduction` terms in f32, and it is rounded to
// `dtype` once.
double bound(DType dtype, int64_t reduction);

// Bound for central differences in f64 against an analytic gradient, relative to the largest element of the gradient.
inline constexpr double kGradientBound = 1e-6;

// Bound for f64 results against reference vectors that others computed in f64.
inline constexpr double kVectorBound = 1e-9;

}  // namespace birkhoff::test

#pragma once
#include <cstdint>

#include "kernels/core/dtype.h"

namespace birkhoff::test {

// The one table of bounds. An element differs by at most
//   bound(dtype, reduction) * (|expected| + rms(expected))
// when computed with inputs exact in `dtype`, sums of `reduction` terms in f32 and one rounding to `dtype`.
double bound(DType dtype, int64_t reduction);

// Central differences in f64 against an analytic gradient, relative to the gradient's largest element.
inline constexpr double kGradientBound = 1e-6;

// f64 against vectors computed in f64 by somebody else.
inline constexpr double kVectorBound = 1e-9;

}  // namespace birkhoff::test

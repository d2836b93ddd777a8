#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

//   y[i] = alpha * a[i] + beta * b[i]
// To accumulate, pass the same tensor as y and a.
//
// Shapes:  y, a, b of equal count.
// Types:   y, a, b are each f32 or bf16; computed in f32, rounded once.
// Aliases: y may be a, b or both.
// Errors:  UserError if a count disagrees. BugError if a dtype is not one of the above.
// Cost:    reads a and b once, writes y once; bound by memory bandwidth.
// Source:  elementary.
struct AddArgs {
  Tensor y;
  Tensor a, b;
  double alpha = 1, beta = 1;
};
void add(Stream& stream, const AddArgs& args);

//   y[i] = alpha * factor * x[i],   factor is one element on the device, or 1 if absent
//
// Shapes:  y, x of equal count; factor one element or absent.
// Types:   y, x are each f32 or bf16; factor f32 or f64.
// Aliases: y may be x.
// Errors:  as for add().
struct ScaleArgs {
  Tensor y;
  Tensor x, factor;
  double alpha = 1;
};
void scale(Stream& stream, const ScaleArgs& args);

}  // namespace birkhoff

#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Gated linear unit with SiLU, optionally clamped and scaled by row:
//   gate = x[t,f], up = x[t,F+f];  with clamp > 0: gate = min(gate, clamp), up = min(max(up, -clamp), clamp)
//   y[t,f] = row_scale[t] * gate * sigmoid(gate) * up
//
// Shapes:  x [T, 2 F], gate first; y [T, F]; row_scale [T] (the gate weight of a routed expert); absent means 1.
// Types:   x, y have the same dtype, f32 or bf16; row_scale f32.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    reads x once, writes y once; bound by memory bandwidth.
// Source:  Shazeer 2020, arXiv:2002.05202, equation 6; the clamp as released with DeepSeek-V4.
struct SwigluArgs {
  Tensor y;
  Tensor x, row_scale;
  double clamp = 0;
};
void swiglu_forward(Stream& stream, const SwigluArgs& args);

// Gradients of swiglu_forward; all are overwritten. A value that the clamp changed gets a zero gradient.
// drow_scale[t] = sum_f dy[t,f] * gate * sigmoid(gate) * up, computed only if row_scale is given.
//
// Shapes:  dx [T, 2 F]; dy [T, F]; drow_scale [T].
// Types:   dx, dy, x have the same dtype; drow_scale f32.
// Aliases: dx may be x.
struct SwigluBackwardArgs {
  Tensor dx, drow_scale;
  Tensor dy, x, row_scale;
  double clamp = 0;
};
void swiglu_backward(Stream& stream, const SwigluBackwardArgs& args);

}  // namespace birkhoff

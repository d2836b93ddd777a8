#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Gated activation, with x = [gate | up]:
//   y[t,f] = scale[t] * silu(g) * u,   g = min(x[t,f], clamp),  u = clamp(x[t,F+f], -clamp, clamp),  silu(g) = g / (1 +
//   e^-g)
//
// Shapes:  y [..., F], read as [T, F]; x [..., 2F]; scale [T] or absent (1).
// Types:   y, x f32 or bf16, the same; scale f32. Arithmetic in f32.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    reads x once, writes y once.
// Source:  Shazeer 2020, arXiv:2002.05202, equation 5; clamp as in DeepSeek-V4, arXiv:2606.19348. clamp 0 means none.
struct SwigluArgs {
  Tensor y;
  Tensor x, scale;
  float clamp = 0;
};
void swiglu_forward(Stream& stream, const SwigluArgs& args);

// dx from dy, and dscale[t] = sum_f dy[t,f] silu(g) u where scale is given. Clamped inputs get no gradient.
// Both outputs are overwritten. dx may not be x.
struct SwigluBackwardArgs {
  Tensor dx, dscale;
  Tensor dy, x, scale;
  float clamp = 0;
};
void swiglu_backward(Stream& stream, const SwigluBackwardArgs& args);

}  // namespace birkhoff

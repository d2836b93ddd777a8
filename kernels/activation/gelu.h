#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Gaussian error linear unit in its tanh form:
//   y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
//
// Shapes:  y, x of equal count.
// Types:   f32 or bf16, the same. Arithmetic in f32.
// Aliases: y may be x.
// Errors:  UserError if a shape or dtype disagrees.
// Source:  Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2.
struct GeluArgs {
  Tensor y;
  Tensor x;
};
void gelu_forward(Stream& stream, const GeluArgs& args);

// dx is overwritten; it may be dy.
struct GeluBackwardArgs {
  Tensor dx;
  Tensor dy, x;
};
void gelu_backward(Stream& stream, const GeluBackwardArgs& args);

}  // namespace birkhoff

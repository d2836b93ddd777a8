#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Gaussian error linear unit, the tanh approximation:
//   y = x/2 * (1 + tanh(u)) = x * sigmoid(2 u),   u = sqrt(2/pi) * (x + 0.044715 x^3)
//
// Shapes:  x and y have the same shape.
// Types:   f32 or bf16; all tensors have the same dtype.
// Aliases: y may be x if no backward follows.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    reads x once, writes y once; bound by memory bandwidth.
// Source:  Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2.
struct GeluArgs {
  Tensor y;
  Tensor x;
};
void gelu_forward(Stream& stream, const GeluArgs& args);

// dx = dy * gelu'(x). dx is overwritten and may be dy or x.
struct GeluBackwardArgs {
  Tensor dx;
  Tensor dy, x;
};
void gelu_backward(Stream& stream, const GeluBackwardArgs& args);

}  // namespace birkhoff

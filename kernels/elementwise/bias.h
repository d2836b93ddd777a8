#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

//   y[t,c] += bias[c]
//
// Shapes:  y [..., C], read as [T, C]; bias [C].
// Types:   y f32 or bf16; bias f32.
// Aliases: none.
// Errors:  UserError if a shape disagrees.
// Cost:    reads and writes y once; bound by memory bandwidth.
// Source:  elementary.
struct AddBiasArgs {
  Tensor y;
  Tensor bias;
};
void add_bias(Stream& stream, const AddBiasArgs& args);

//   dbias[c] += sum_t dy[t,c]        in f32, in an order independent of the number of threads
struct BiasGradientArgs {
  Tensor dbias;
  Tensor dy;
};
void bias_gradient(Stream& stream, const BiasGradientArgs& args);

}  // namespace birkhoff

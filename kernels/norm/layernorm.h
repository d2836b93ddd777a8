#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Layer normalisation over the last dim:
//   y[t,c] = (x[t,c] - mean[t]) * rstd[t] * gain[c] + bias[c],   rstd[t] = 1 / sqrt(mean_c((x[t,c] - mean[t])^2) + eps)
//
// Shapes:  x, y [..., C], read as [T, C]; gain, bias [C]; mean, rstd [T], read by layernorm_backward.
// Types:   x, y f32 or bf16, the same; the others f32. Sums in f32.
// Aliases: y may be x.
// Errors:  UserError if a shape or dtype disagrees.
// Source:  Ba, Kiros and Hinton 2016, arXiv:1607.06450, equation 4.
struct LayerNormArgs {
  Tensor y, mean, rstd;
  Tensor x, gain, bias;
  float eps = 1e-5f;
};
void layernorm_forward(Stream& stream, const LayerNormArgs& args);

// With n = (x - mean) * rstd and g = dy * gain:
//   dx = rstd * (g - mean_c(g) - n * mean_c(g * n)),   dgain += sum_t dy * n,   dbias += sum_t dy
//
// dgain and dbias accumulate, dx is overwritten; it may be dy. The sums over t have one order for any number of
// threads.
struct LayerNormBackwardArgs {
  Tensor dx, dgain, dbias;
  Tensor dy, x, gain, mean, rstd;
};
void layernorm_backward(Stream& stream, const LayerNormBackwardArgs& args);

}  // namespace birkhoff

#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Layer normalization over the last dim:
//   y[t,c] = (x[t,c] - mean[t]) * rstd[t] * weight[c] + bias[c]
//   mean[t] = mean_c(x[t,c]),  rstd[t] = 1 / sqrt(mean_c((x[t,c] - mean[t])^2) + eps)
//
// Shapes:  x, y [..., C], read as [T, C]; weight, bias [C]; mean, rstd [T], written here and read by the backward.
// Types:   x, y have the same dtype, f32 or bf16; the rest f32. Sums in f32.
// Aliases: y may be x if no backward follows.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    reads x once, writes y once; bound by memory bandwidth.
// Source:  Ba, Kiros, Hinton 2016, arXiv:1607.06450, equation 4, which has no eps.
struct LayerNormArgs {
  Tensor y, mean, rstd;
  Tensor x, weight, bias;
  double eps = 1e-5;
};
void layernorm_forward(Stream& stream, const LayerNormArgs& args);

// With n[t,c] = (x[t,c] - mean[t]) * rstd[t] and g[t,c] = dy[t,c] * weight[c]:
//   dx[t,c] = rstd[t] * (g[t,c] - mean_c(g[t,c]) - n[t,c] * mean_c(g[t,c] * n[t,c]))
//   dweight[c] += sum_t dy[t,c] * n[t,c],   dbias[c] += sum_t dy[t,c]
//
// Shapes:  as above. dweight and dbias accumulate, dx is overwritten.
// Types:   as above; dweight, dbias f32. The order of the sum over t does not depend on the number of threads.
// Aliases: dx may be dy.
struct LayerNormBackwardArgs {
  Tensor dx, dweight, dbias;
  Tensor dy, x, weight, mean, rstd;
};
void layernorm_backward(Stream& stream, const LayerNormBackwardArgs& args);

}  // namespace birkhoff

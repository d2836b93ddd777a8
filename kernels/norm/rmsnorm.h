#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// RMS normalization over the last dim:
//   y[t,c] = x[t,c] * rstd[t] * gain[c],   rstd[t] = 1 / sqrt(mean_c(x[t,c]^2) + eps)
//
// Shapes:  x, y [..., C], read as [T, C]; gain [C], or absent for the unweighted norm (used per head); rstd [T],
//          written here and read by rmsnorm_backward.
// Types:   x, y have the same dtype, f32 or bf16; gain, rstd f32. Sums in f32.
// Aliases: y may be x.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    reads x once, writes y once; bound by memory bandwidth.
// Source:  Zhang and Sennrich 2019, arXiv:1910.07467, equation 4, which has no eps.
struct RmsNormArgs {
  Tensor y, rstd;
  Tensor x, gain;
  double eps = 1e-6;
};
void rmsnorm_forward(Stream& stream, const RmsNormArgs& args);

// With g[t,c] = dy[t,c] * gain[c]:
//   dx[t,c] = rstd[t] * (g[t,c] - x[t,c] * rstd[t]^2 * mean_c(g[t,c] * x[t,c]))
//   dgain[c] += sum_t dy[t,c] * x[t,c] * rstd[t]
//
// Shapes:  dx, dy, x as above; dgain [C] if gain is given. dgain accumulates, dx is overwritten.
// Types:   as above; dgain f32. The order of the sum over t does not depend on the number of threads.
// Aliases: dx may be dy.
// Source:  derived in docs/numerics.md.
struct RmsNormBackwardArgs {
  Tensor dx, dgain;
  Tensor dy, x, gain, rstd;
};
void rmsnorm_backward(Stream& stream, const RmsNormBackwardArgs& args);

}  // namespace birkhoff

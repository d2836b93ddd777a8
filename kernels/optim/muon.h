#pragma once
#include <cstdint>

#include "kernels/core/arena.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Replaces x by the nearest matrix whose singular values are all about 1. Divides x by ||x||_F, then makes ten steps of
//   A = X X^T,   X = a X + (b A + c A^2) X,       or A = X^T X and X = a X + X (b A + c A^2) if m > n
//   (a, b, c) = (3.4445, -4.7750, 2.0315) eight times, then (2, -1.5, 0.5) twice
// Singular values in [1e-4, 1] after the division map to 1 within 2.02e-3. A zero matrix stays zero.
//
// Shapes:  x [m, n], overwritten.
// Types:   x f32 or bf16: the products are computed in that type with f32 sums.
// Aliases: none.
// Errors:  UserError if x is not a matrix.
// Cost:    10 * (4 s^2 l + 2 s^3) FLOPs for s = min(m, n), l = max(m, n). Takes x.bytes() and 2 s^2 elements from the
//          workspace.
// Source:  DeepSeek-V4, arXiv:2606.19348, section on Muon; Jordan et al. 2024, "Muon".
void newton_schulz(Stream& stream, Arena& workspace, Tensor x);

struct MuonHyper {
  double learning_rate = 0, momentum = 0.95, weight_decay = 0;
  double update_rms = 0.18;  // root mean square of an update at learning rate 1
  double grad_scale = 1;     // multiplies the gradient
};

// Momentum and an orthogonalized update of one matrix. With g = grad_scale * grad:
//   M = mu M + g,   O = newton_schulz(mu M + g) * update_rms * sqrt(max(m, n))
//   w = (1 - lr wd) w - lr O,   weight_copy = w
//
// Shapes:  weight, momentum, grad [m, n]; weight_copy too, or absent.
// Types:   weight, grad f32; momentum f32 or bf16, rounded before it enters O; weight_copy bf16 or f32. The iteration
//          runs in `compute`, f32 or bf16.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    that of newton_schulz, and one more matrix from the workspace.
// Source:  that of newton_schulz.
struct MuonArgs {
  Tensor weight, momentum, weight_copy;
  Tensor grad;
  MuonHyper hyper;
  DType compute = DType::f32;
};
void muon(Stream& stream, Arena& workspace, const MuonArgs& args);

}  // namespace birkhoff

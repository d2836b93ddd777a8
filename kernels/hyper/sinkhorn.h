#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Projection of S x S logits toward doubly stochastic matrices by a fixed number of Sinkhorn-Knopp iterations:
//   m = softmax_j(logits[t,i,j]) + eps;  m /= sum_i m + eps
//   then (iterations - 1) times:  m /= sum_j m + eps;  m /= sum_i m + eps
// The division by the sum over i comes last, so sums over i are 1 but for eps, while sums over j are off by some
// percent for large logits.
//
// Shapes:  comb, logits [T,S,S], comb[i][j] with i the input and j the output stream.
// Types:   f32.
// Aliases: comb may be logits.
// Errors:  UserError if a shape disagrees or iterations < 1.
// Cost:    about 4 T S^2 * iterations flops. The backward recomputes the results of all iterations. Each thread
//          stores them for at most 16 matrices at a time.
// Source:  mHC, arXiv:2512.24880, equation 9; the order and the places of eps are those of the released models.
struct SinkhornOptions {
  int iterations = 20;
  double eps = 1e-6;
};
struct SinkhornArgs {
  Tensor comb;
  Tensor logits;
  SinkhornOptions options = {};
};
void sinkhorn_forward(Stream& stream, const SinkhornArgs& args);

// The gradient through every iteration, each recomputed from the logits. The implicit gradient of the fixed point would
// be wrong by several percent at 20 iterations.
//
// Shapes:  dlogits, dcomb, logits [T,S,S]. dlogits is overwritten.
// Aliases: dlogits may be dcomb.
struct SinkhornBackwardArgs {
  Tensor dlogits;
  Tensor dcomb, logits;
  SinkhornOptions options = {};
};
void sinkhorn_backward(Stream& stream, const SinkhornBackwardArgs& args);

}  // namespace birkhoff

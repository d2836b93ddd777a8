#pragma once
#include <cstdint>
#include <functional>

#include "kernels/core/arena.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

struct SinkhornBalancedHyper {
  double learning_rate = 0, momentum = 0.95, gamma = 0.18, threshold = 1e-3, eps = 1e-20;
  double grad_scale = 1;  // multiplies the gradient
  int iterations = 11;
};

// Momentum whose update has rows and columns of equal norm. With g = grad_scale * grad and beta = momentum:
//   M = beta M + (1 - beta) g,   U = beta M + (1 - beta) g,   rho_i = ||U_i||
//   U_i = 0 if rho_i <= threshold * mean(rho)
//   for k = 1 .. iterations:  k odd: every row of U divided by (its norm + eps);  k even: every column
//   w = w - gamma lr sqrt(n) U,   weight_copy = w
// U is never stored, but computed from M, g, a scale per row and a scale per column. An all-zero row or column stays
// zero.
//
// Shapes:  weight, momentum [m, n]; weight_copy too, or absent. grad is either [m, n], with rows absent, or [U, n] with
//          rows [U]: the gradient of row i of weight is listed with id first_row + i, and is zero if that id is not
//          listed. Ids ascend strictly; ids outside [first_row, first_row + m) are ignored. So the same list serves
//          every row shard, and every run of rows that forms a matrix of its own, with views of weight and momentum.
// Types:   weight, grad f32; momentum f32 or bf16, rounded before U is formed; weight_copy bf16 or f32; rows i32 or
//          i64. Momentum below 1e-30 becomes 0, because subnormal arithmetic is slow and would go on forever.
//          weight_copy is written only in rows whose update is not zero, so it must hold a copy of weight before the
//          call. Sums over rows are in f64; their order does not depend on the number of threads.
// Shards:  If other ranks hold further rows of the matrix, num_rows is the number of all rows, and all_reduce sums a
//          small f64 tensor over the ranks in place: once for the mean of rho, and once for each even k (n elements).
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees, or iterations < 1.
// Cost:    2 + iterations / 2 passes over momentum, one over weight. Takes 4 m + 12 n bytes of workspace.
// Source:  DeepSeek-V4.1, arXiv:2609.19969, algorithm 1.
struct SinkhornBalancedArgs {
  Tensor weight, momentum, weight_copy;
  Tensor grad, rows;
  int64_t first_row = 0;
  SinkhornBalancedHyper hyper;
  int64_t num_rows = 0;  // rows of the whole matrix; 0 stands for m
  std::function<void(Stream&, Tensor)> all_reduce;
};
void sinkhorn_balanced(Stream& stream, Arena& workspace, const SinkhornBalancedArgs& args);

}  // namespace birkhoff

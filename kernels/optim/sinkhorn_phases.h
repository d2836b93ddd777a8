#pragma once
// The phases of a Sinkhorn-balanced update, each of which is one pass. Between them the caller sums `rho_sum` and
// `column_sums` over the ranks that hold further rows. For internal use by sinkhorn_balanced.cc.
#include "kernels/optim/sinkhorn_balanced.h"

namespace birkhoff {

// U[i,j] = (beta M[i,j] + (1 - beta) g[i,j]) * row_scale[i] * column_scale[j]
struct SinkhornPhase {
  const SinkhornBalancedArgs& args;
  Tensor row_scale;     // [m]; holds rho between sinkhorn_momentum and sinkhorn_select
  Tensor column_scale;  // [n]
  Tensor column_sums;   // [n] f64
  Tensor rho_sum;       // [1] f64
  enum class Rows { keep, normalize } rows = Rows::keep;
};

// M = beta M + (1 - beta) g;  row_scale = rho;  rho_sum = sum_i rho_i;  column_scale = 1
void sinkhorn_momentum(Stream& stream, const SinkhornPhase& phase);
// row_scale = 0 if rho <= threshold * mean, else 1 / (rho + eps), which is the first normalization.
void sinkhorn_select(Stream& stream, const SinkhornPhase& phase);
// With Rows::normalize, first row_scale[i] /= ||U_i|| + eps for every U_i that is not zero. Then column_sums[j] = sum_i
// U[i,j]^2.
void sinkhorn_sum_columns(Stream& stream, const SinkhornPhase& phase);
// column_scale[j] /= sqrt(column_sums[j]) + eps, where column_sums[j] > 0
void sinkhorn_scale_columns(Stream& stream, const SinkhornPhase& phase);
// With Rows::normalize, first normalizes the rows as above. Then w -= gamma lr sqrt(n) U, weight_copy = w.
void sinkhorn_apply(Stream& stream, const SinkhornPhase& phase);

}  // namespace birkhoff

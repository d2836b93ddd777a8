#pragma once
#include <span>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// How much a run of sites can amplify a signal. With the per-token product M = comb_1 comb_2 ... comb_L, M[i][j] the
// weight of input stream i in output stream j:
//   gain[0] = mean_t max_j sum_i |M[i][j]|     forward (row sums of the residual map, which is M transposed)
//   gain[1] = mean_t max_i sum_j |M[i][j]|     backward
// The gains are near 1 for mHC (at most about 1.6 over 60 sublayers). Without the constraint they reach thousands.
//
// Shapes:  gain [2]; combs: at least one tensor [T,S,S], in the order of the sites. T = 0 gives 0.
// Types:   f32.
// Aliases: none.
// Errors:  UserError if there is no site or a shape disagrees.
// Cost:    2 (L - 1) T S^3 flops for L sites; reads every comb once.
// Source:  mHC, arXiv:2512.24880, section 5.4 (Amax gain magnitude).
struct HyperGainArgs {
  Tensor gain;
  std::span<const Tensor> combs;
};
void hyper_gain(Stream& stream, const HyperGainArgs& args);

}  // namespace birkhoff

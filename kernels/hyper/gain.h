#pragma once
#include <span>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// How much a run of sites can amplify a signal. With the per-token product M = comb_1 comb_2 ... comb_L, M[i][j] the
// weight of input stream i in output stream j:
//   sums[0] = sum_t max_j sum_i |M[i][j]|     forward (row sums of the residual map, which is M transposed)
//   sums[1] = sum_t max_i sum_j |M[i][j]|     backward
//   sums[2] = number of these tokens
// over the tokens t that are not masked. The gains are the means sums[0] / sums[2] and sums[1] / sums[2]; the sums of
// ranks that divide the tokens add up to those of all tokens. The gains are near 1 for mHC (at most about 1.6 over 60
// sublayers). Without the constraint they reach thousands.
//
// Shapes:  sums [3]; combs: at least one tensor [T,S,S], in the order of the sites; token_mask [T] or absent.
// Types:   sums f64 on all devices, taken in f64 in ascending order of the tokens; combs f32; token_mask u8.
// Aliases: none.
// Errors:  UserError if there is no site, or if a shape or dtype disagrees.
// Cost:    2 (L - 1) T S^3 flops for L sites; reads every comb once.
// Source:  mHC, arXiv:2512.24880, section 5.4 (Amax gain magnitude).
struct HyperGainArgs {
  Tensor sums;
  std::span<const Tensor> combs;
  Tensor token_mask = {};
};
void hyper_gain(Stream& stream, const HyperGainArgs& args);

}  // namespace birkhoff

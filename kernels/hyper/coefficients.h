#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"
#include "kernels/hyper/sinkhorn.h"

namespace birkhoff {

// The coefficients of one manifold-constrained hyper-connection (mHC), and optionally the sublayer's input:
//   rstd[t]    = 1 / sqrt(mean(x[t]^2) + norm_eps)                    over all S*C values of the token
//   mixes[t,r] = rstd[t] * <fn[r], x[t]>
//   pre[t,i]   = sigmoid(scale[0] * mixes[t,i] + base[i]) + sinkhorn.eps
//   post[t,j]  = post_multiplier * sigmoid(scale[1] * mixes[t,S+j] + base[S+j])
//   comb[t]    = sinkhorn(scale[2] * mixes[t,2S...] + base[2S...])
//   h[t,c]     = sum_i pre[t,i] x[t,i,c]                              if h is given
// If fn has only S rows, the op computes the head's collapse: only pre (and h). post and comb are then absent, and
// scale is [1].
//
// Shapes:  x [T,S,C], stream-major; fn [R,S*C], base [R], scale [3], R = S*S + 2S in the order pre | post | comb with
//          comb[input][output] row-major, or R = S (scale [1]); mixes [T,R], rstd [T], pre, post [T,S], comb [T,S,S]; h
//          [T,C] or absent.
// Types:   x, h have the same dtype, f32 or bf16; all others f32. Sums in f32. If x is bf16 and the processor
//          multiplies bf16, fn is used with 16 bits of precision, as the sum of two bf16 terms.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees or S > kMaxStreams.
// Cost:    2 T R S C flops; reads x once from memory, a tile of tokens at a time.
// Source:  mHC, arXiv:2512.24880, equations 7-9 and 14-19; head and eps as in DeepSeek-V4.
struct HyperOptions {
  SinkhornOptions sinkhorn = {};
  double norm_eps = 1e-6;
  double post_multiplier = 2;
};
struct HyperCoefficientsArgs {
  Tensor mixes, rstd, pre, post, comb, h;
  Tensor x, fn, base, scale;
  HyperOptions options = {};
};
void hyper_coefficients_forward(Stream& stream, const HyperCoefficientsArgs& args);

// Recomputes everything from mixes and rstd. If dh, the gradient of h, is given:
//   dpre[t,i] (total) = dpre[t,i] + <dh[t], x[t,i]>
//   dx[t,i,c] += pre[t,i] dh[t,c] + the gradient through the coefficients
//
// Shapes:  as above; dpre or dh may be absent, but not both; dpost, dcomb are absent for the head. The op adds to dx,
//          which the backward of write_mix has written; dfn, dbase, dscale accumulate.
// Types:   dx, dh, x have the same dtype; all others f32. The order of the sums over t does not depend on the number of
//          threads.
// Cost:    4 T R S C flops; reads x twice and dx once, writes dx once.
struct HyperCoefficientsBackwardArgs {
  Tensor dx, dfn, dbase, dscale;
  Tensor dpre, dpost, dcomb, dh;
  Tensor x, fn, base, scale, mixes, rstd;
  HyperOptions options = {};
};
void hyper_coefficients_backward(Stream& stream, const HyperCoefficientsBackwardArgs& args);

}  // namespace birkhoff

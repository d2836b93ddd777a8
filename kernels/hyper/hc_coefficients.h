#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// The coefficients of a plain (unconstrained) hyper-connection, static plus dynamic, each stream normalized on its own:
//   rstd[t,i]    = 1 / sqrt(mean_c(x[t,i,c]^2) + norm_eps)
//   mixes[t,i,r] = rstd[t,i] * <fn[r], x[t,i]>
//   pre[t,i]     = scale[0] * tanh(mixes[t,i,0])   + base[i]
//   post[t,i]    = scale[1] * tanh(mixes[t,i,1])   + base[S+i]
//   comb[t,i,j]  = scale[0] * tanh(mixes[t,i,2+j]) + base[2S + i*S + j]
// The ops of read.h and write_mix.h are the same as for mHC. Usual initialization: fn 0, scale 0.01,
// base one-hot | ones | identity.
//
// Shapes:  x [T,S,C]; fn [S+2,C], base [S*S+2S], scale [2]; mixes [T,S,S+2], rstd, pre, post [T,S], comb [T,S,S].
// Types:   x f32 or bf16; all others f32. Sums in f32.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees or S > kMaxStreams.
// Cost:    2 T S (S + 2) C flops, reads x once. The backward costs twice that and holds separate sums for every 64
//          tokens.
// Source:  hyper-connections, arXiv:2409.19606, equations 10-13; the norm's weight is folded into fn.
struct HcCoefficientsArgs {
  Tensor mixes, rstd, pre, post, comb;
  Tensor x, fn, base, scale;
  double norm_eps = 1e-6;
};
void hc_coefficients_forward(Stream& stream, const HcCoefficientsArgs& args);

// Shapes:  as above. The op adds to dx, which the backward of write_mix and read has written; dfn, dbase, dscale
//          accumulate.
// Types:   dx, x have the same dtype; all others f32. The order of the sums over t does not depend on the number of
//          threads.
struct HcCoefficientsBackwardArgs {
  Tensor dx, dfn, dbase, dscale;
  Tensor dpre, dpost, dcomb;
  Tensor x, fn, scale, mixes, rstd;
};
void hc_coefficients_backward(Stream& stream, const HcCoefficientsBackwardArgs& args);

}  // namespace birkhoff

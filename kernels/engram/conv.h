#pragma once
#include <cstdint>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// The short convolution of the original Engram: causal, depthwise over the gated values, and added to the streams:
//   n[t,s,c]   = x[t,s,c] * rstd[t,s] * gain[s,c],   rstd[t,s] = 1 / sqrt(mean_c(x[t,s,c]^2) + eps)
//   z[t,s,c]   = sum_k weight[s,c,k] n[t - (K-1-k)*dilation, s, c]   over tokens of t's own document
//   out[t,s,c] += silu(z[t,s,c])
// If the weights start at zero, the branch adds nothing at first.
//
// A call may compute a run of T tokens of a longer text. Then the first `halo` rows of x are the tokens before the run,
// which only serve as earlier tokens: (K-1)*dilation of them, or fewer if the text begins within this distance. Calls
// for consecutive runs with their halos compute what one call for the whole text computes.
//
// Shapes:  out [T,S,C]; x [H+T,S,C] with H = halo; gain [S,C]; weight [S,C,K]; rstd [H+T,S]; document_start [H+T].
// Types:   out, x have the same dtype, f32 or bf16; document_start i32; all others f32. document_start holds indices of
//          rows of x; an index below 0 is that of a document which began before these rows.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    about 4 T S C K flops. Each element of x is read K times, from the cache. The backward computes z again and
//          holds two f32 arrays of the size of x.
// Source:  Engram, arXiv:2601.07372, equation 5 (K = 4, dilation = the largest n-gram order).
struct EngramConvArgs {
  Tensor out, rstd;
  Tensor x, gain, weight, document_start;
  int dilation = 3;
  double eps = 1e-5;
  int64_t halo = 0;
};
void engram_conv_forward(Stream& stream, const EngramConvArgs& args);

// The gradients are those of this call's out. The halo's rows of dx hold only what came through these T tokens, and
// must be added to the dx of the calls that have these tokens as their own. dgain and dweight of consecutive runs
// likewise add up to those of the whole text.
//
// Shapes:  as above; dout [T,S,C]; dx [H+T,S,C] is overwritten, dgain and dweight accumulate. The gradient of `out`
//          before the call is dout itself.
// Types:   as above. The order of the sums over t does not depend on the number of threads.
struct EngramConvBackwardArgs {
  Tensor dx, dgain, dweight;
  Tensor dout, x, gain, weight, rstd, document_start;
  int dilation = 3;
  int64_t halo = 0;
};
void engram_conv_backward(Stream& stream, const EngramConvBackwardArgs& args);

}  // namespace birkhoff

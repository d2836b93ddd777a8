#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// A sublayer's input, mixed from the streams: h[t,c] = sum_i pre[t,i] x[t,i,c].
// For a site that reads with its own pre, the fused form of coefficients.h is faster.
//
// Shapes:  h [T,C]; x [T,S,C]; pre [T,S].
// Types:   h, x have the same dtype, f32 or bf16; pre f32. Sums are in f32 and rounded once.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees or S > kMaxStreams.
// Cost:    reads x once, writes h once; bound by memory bandwidth. The backward also reads and writes dx.
// Source:  mHC, arXiv:2512.24880, equation 3.
struct HyperReadArgs {
  Tensor h;
  Tensor x, pre;
};
void hyper_read_forward(Stream& stream, const HyperReadArgs& args);

// dx[t,i,c] += pre[t,i] dh[t,c];  dpre[t,i] = <dh[t], x[t,i]>
//
// Shapes:  as above. The op adds to dx, so the backward of a site must run in this order: write_mix (overwrites dx),
//          sublayer, read, coefficients. dpre is overwritten.
struct HyperReadBackwardArgs {
  Tensor dx, dpre;
  Tensor dh, x, pre;
};
void hyper_read_backward(Stream& stream, const HyperReadBackwardArgs& args);

}  // namespace birkhoff

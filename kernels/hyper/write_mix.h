#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// The largest number of streams of a model.
inline constexpr int64_t kMaxStreams = 16;

// The streams after a sublayer: its output is written to each, and the streams are mixed:
//   x_next[t,j,c] = post[t,j] y[t,c] + sum_i comb[t,i,j] x[t,i,c]
//
// Shapes:  x_next, x [T,S,C]; y [T,C]; post [T,S]; comb [T,S,S].
// Types:   x_next, x, y have the same dtype, f32 or bf16; post, comb f32. Sums are in f32 and rounded once.
// Aliases: x_next may be x.
// Errors:  UserError if a shape or dtype disagrees or S > kMaxStreams.
// Cost:    reads (S+1) C, writes S C per token; bound by memory bandwidth.
// Source:  mHC, arXiv:2512.24880, equation 3.
struct HyperWriteMixArgs {
  Tensor x_next;
  Tensor x, y, post, comb;
};
void hyper_write_mix_forward(Stream& stream, const HyperWriteMixArgs& args);

// dx[t,i,c] = sum_j comb[t,i,j] dx_next[t,j,c]         dy[t,c]      = sum_j post[t,j] dx_next[t,j,c]
// dpost[t,j] = <dx_next[t,j], y[t]>                    dcomb[t,i,j] = <x[t,i], dx_next[t,j]>
//
// Shapes:  as above. All outputs are overwritten; afterwards the backward of the read and of the coefficients adds to
//          dx.
// Aliases: dx may be dx_next.
struct HyperWriteMixBackwardArgs {
  Tensor dx, dy, dpost, dcomb;
  Tensor dx_next, x, y, post, comb;
};
void hyper_write_mix_backward(Stream& stream, const HyperWriteMixBackwardArgs& args);

}  // namespace birkhoff

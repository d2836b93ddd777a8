#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Adds a token's retrieved memory to every stream, through a gate for each stream:
//   score[t,s] = <rms(h[t,s]) w_h[s], rms(k[t,s]) w_k[s]> / sqrt(C)
//   gate[t,s]  = sigmoid(copysign(sqrt(max(|score|, clamp)), score)), or sigmoid(score) without root; 0 if mask[t] = 0
//   out[t,s,c] = h[t,s,c] + gate[t,s] v[t,c]
//
// Shapes:  out, h [T,S,C]; kv [T,(S+1)*C], each row being key 0 | ... | key S-1 | v; w_h, w_k [S,C]; mask [T] or
//          absent; score, gate, rstd_h, rstd_k [T,S], read by the backward; value [T,S,C] = gate v (for conv.h), or
//          absent.
// Types:   out, h, kv, value f32 or bf16, all the same; mask u8; all others f32. Outputs are rounded once.
// Aliases: out may be h.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    reads h twice (for the score and for out), every key once, v once per stream from the cache, and writes out
//          once; bound by memory bandwidth. The backward holds S C sums in f32 for every 64 tokens.
// Source:  Engram, arXiv:2601.07372, equation 4; square root, clamp and placement as in DeepSeek-V4.1 and TileKernels.
struct EngramGateOptions {
  double eps = 1e-6;    // inside the root of both norms
  double clamp = 1e-6;  // lower bound on the magnitude under the square root
  bool root = true;     // if false, `clamp` has no effect
  bool operator==(const EngramGateOptions&) const = default;
};
struct EngramGateArgs {
  Tensor out, gate, score, rstd_h, rstd_k, value;
  Tensor h, kv, w_h, w_k, mask;
  EngramGateOptions options = {};
};
void engram_gate_forward(Stream& stream, const EngramGateArgs& args);

// dh = dout + the gradient through the score. dh and dkv are overwritten; dw_h and dw_k accumulate. With the root, the
// score's gradient is 0 where |score| < clamp. `dvalue`, if given, adds to the gradient of gate * v.
//
// Shapes:  as above; dvalue like value, or absent. h is the input of the forward, not its output.
// Types:   as above. The order of the sums over t does not depend on the number of threads.
// Aliases: dh may be dout.
// Source:  derived in docs/numerics.md.
struct EngramGateBackwardArgs {
  Tensor dh, dkv, dw_h, dw_k;
  Tensor dout, dvalue;
  Tensor h, kv, w_h, w_k, gate, score, rstd_h, rstd_k;
  EngramGateOptions options = {};
};
void engram_gate_backward(Stream& stream, const EngramGateBackwardArgs& args);

}  // namespace birkhoff

#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Adds a token's retrieved memory to every stream, through a gate of each stream's own:
//   score[t,s] = <rms(h[t,s]) w_h[s], rms(k[t,s]) w_k[s]> / sqrt(C)
//   gate[t,s]  = sigmoid(copysign(sqrt(max(|score|, clamp)), score)), without root sigmoid(score); 0 where mask[t] = 0
//   out[t,s,c] = h[t,s,c] + gate[t,s] v[t,c]
//
// Shapes:  out, h [T,S,C]; kv [T,(S+1)*C], a row being key 0 | ... | key S-1 | v; w_h, w_k [S,C]; mask [T] or absent;
//          score, gate, rstd_h, rstd_k [T,S], read by the backward; value [T,S,C] = gate v or absent (for conv.h).
// Types:   out, h, kv, value f32 or bf16, the same; mask u8; all others f32. One rounding.
// Aliases: out may be h.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    reads h twice (for the score and for out), every key once, v once a stream from the cache, writes out once;
//          bound by memory bandwidth. The backward holds S C sums in f32 for every 64 tokens.
// Source:  Engram, arXiv:2601.07372, equation 4; square root, clamp and placement as in DeepSeek-V4.1 and TileKernels.
struct EngramGateOptions {
  double eps = 1e-6;    // inside the root of both norms
  double clamp = 1e-6;  // least magnitude under the square root
  bool root = true;     // without it the clamp plays no part
  bool operator==(const EngramGateOptions&) const = default;
};
struct EngramGateArgs {
  Tensor out, gate, score, rstd_h, rstd_k, value;
  Tensor h, kv, w_h, w_k, mask;
  EngramGateOptions options = {};
};
void engram_gate_forward(Stream& stream, const EngramGateArgs& args);

// dh = dout + (through the score), dkv overwritten, dw_h, dw_k accumulate. With the root, the score's gradient is 0
// where |score| < clamp. With `dvalue`, the gradient of `value` adds to that of gate * v.
//
// Shapes:  as above; dvalue as value, or absent. h is the input of the forward, not its sum.
// Types:   as above. The sums over t have one order, whatever the number of threads.
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

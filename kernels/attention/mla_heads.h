#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Keys and values of multi-head latent attention from their parts:
//   k[t,h] = [kv[t,h,:N] | k_rope[t]],   v[t,h] = kv[t,h,N:]
//
// Shapes:  kv [T, H, N + V]; k_rope [T, R], one for all heads, already rotated; k [T, H, N + R]; v [T, H, V].
// Types:   f32 or bf16, all the same.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    bound by memory bandwidth.
// Source:  DeepSeek-V2, arXiv:2405.04434, equations 15 to 19.
struct MlaHeadsArgs {
  Tensor k, v;
  Tensor kv, k_rope;
};
void mla_heads_forward(Stream& stream, const MlaHeadsArgs& args);

// dkv[t,h] = [dk[t,h,:N] | dv[t,h]],   dk_rope[t] = sum_h dk[t,h,N:], summed in f32, heads ascending. Both overwritten.
struct MlaHeadsBackwardArgs {
  Tensor dkv, dk_rope;
  Tensor dk, dv;
};
void mla_heads_backward(Stream& stream, const MlaHeadsBackwardArgs& args);

}  // namespace birkhoff

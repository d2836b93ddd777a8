#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Keys and values of latent attention from the up-projected latent and the one rotated key that all heads share:
//   k[t,h] = [kv[t,h,0 .. N) | k_rope[t]],   v[t,h] = kv[t,h,N .. N + Dv)
//
// Shapes:  k [T, H, N + R]; v [T, H, Dv]; kv [T, H, N + Dv]; k_rope [T, R].
// Types:   f32 or bf16, all the same.
// Errors:  UserError if a shape or dtype disagrees.
// Source:  DeepSeek-V2, arXiv:2405.04434, equations 14-19.
struct MlaHeadsArgs {
  Tensor k, v;
  Tensor kv, k_rope;
};
void mla_heads_forward(Stream& stream, const MlaHeadsArgs& args);

//   dkv[t,h] = [dk[t,h,0 .. N) | dv[t,h]],   dk_rope[t] = sum_h dk[t,h,N .. N + R), summed in f32 in order of h
struct MlaHeadsBackwardArgs {
  Tensor dkv, dk_rope;
  Tensor dk, dv;
};
void mla_heads_backward(Stream& stream, const MlaHeadsBackwardArgs& args);

}  // namespace birkhoff

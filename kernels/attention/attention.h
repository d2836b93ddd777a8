#pragma once
#include <cstdint>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Causal softmax attention within documents, in tiles: no T x T matrix is ever stored. With g = h / (H / Hkv):
//   s[t,j]   = scale * <q[t,h], k[j,g]>                 for document_start[t] <= j <= t
//   lse[t,h] = log sum_j exp(s[t,j]),   o[t,h] = sum_j exp(s[t,j] - lse[t,h]) v[j,g]
//
// Shapes:  q [T, H, Dqk]; k [T, Hkv, Dqk]; v [T, Hkv, Dv]; o [T, H, Dv]; lse [T, H]; document_start [T]. Hkv divides H;
//          Dqk and Dv may differ.
// Types:   q, k, v, o f32 or bf16, the same; lse f32; document_start i32, not descending, document_start[t] <= t.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    2 H (Dqk + Dv) per visible pair; reported for sequences of max_length without document borders, since a
// device
//          may not be read: 2 H (Dqk + Dv) T (max_length + 1) / 2 forward.
// Source:  Dao et al. 2022, arXiv:2205.14135, algorithms 1 and 4; Milakov and Gimelshein 2018, arXiv:1805.02867.
struct AttentionArgs {
  Tensor o, lse;
  Tensor q, k, v, document_start;
  float scale = 1;
  int64_t max_length = 0;
};
void attention_forward(Stream& stream, const AttentionArgs& args);

// With p[t,j] = exp(s[t,j] - lse[t,h]) and delta[t] = <do[t,h], o[t,h]>:
//   dv[j] = sum p[t,j] do[t],   ds[t,j] = p[t,j] (<do[t], v[j]> - delta[t])
//   dq[t] = scale * sum_j ds[t,j] k[j],   dk[j] = scale * sum ds[t,j] q[t]      sums over t and the heads that share j
//
// Shapes and types as above; all three outputs are overwritten. Sums in f32, in one order whatever the number of
// threads. Cost:    2.5 times the forward.
struct AttentionBackwardArgs {
  Tensor dq, dk, dv;
  Tensor d_o, o, lse, q, k, v, document_start;
  float scale = 1;
  int64_t max_length = 0;
};
void attention_backward(Stream& stream, const AttentionBackwardArgs& args);

}  // namespace birkhoff

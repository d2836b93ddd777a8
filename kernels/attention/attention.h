#pragma once
#include "kernels/attention/attention_mask.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Attention in tiles: no Tq x Tk matrix exists in memory. Query head h reads key head h / (H / Hkv). With j over the
// keys that the mask lets query t see (attention_mask.h):
//   s[t,j] = scale * sum_d q[t,h,d] k[j,d],   lse[t,h] = ln sum_j exp(s[t,j])
//   o[t,h] = sum_j exp(s[t,j] - lse[t,h]) v[j]
// A query that sees no key has o = 0 and lse = -inf.
//
// Shapes:  q [Tq, H, Dqk]; k [Tk, Hkv, Dqk]; v [Tk, Hkv, Dv]; o [Tq, H, Dv]; lse [Tq, H], written here and read by the
//          backward. Tq, Tk or both may be 0.
// Types:   q, k, v, o f32 or bf16, the same; lse f32. Scores, softmax and sums in f32; where the processor multiplies
//          bf16, the weights of a product (p, and ds of the backward) are rounded to it.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees, H is no multiple of Hkv, or the mask is refused.
// Values:  q, k, v and d_o are finite, and so are all q . k and d_o . v, also those of queries and keys that the mask
//          keeps apart: a kernel multiplies what they give by a weight of 0. Scores are below 1e8 in magnitude; larger
//          ones differ by more than f32 can resolve, and from 1e9 on a result may be NaN.
// Order:   on the host the bits of a row of o and lse depend only on its query, its range, and the keys and their
//          places, not on the other queries of the call or the number of threads.
// Cost:    counted as 2 H (Dqk + Dv) Tq (L + 1) / 2 operations with L = max_length, as if the queries lay evenly over
//          ranges of that length; the backward as 2.5 times that. The work follows the ranges, in tiles of 64 queries
//          and 64 keys: a tile of queries goes over all keys between the first and the last that one of them sees, so
//          queries of separate sequences cost as if they saw each other's keys. Holds all k and v, repacked, of a few
//          key heads. Pieces for threads: heads times blocks of 256 queries.
// Source:  Dao 2023, arXiv:2307.08691, algorithms 1 and 2.
struct AttentionArgs {
  Tensor o, lse;
  Tensor q, k, v;
  AttentionMask mask;
  double scale = 1;
};
void attention_forward(Stream& stream, const AttentionArgs& args);

// With p[t,j] = exp(s[t,j] - lse[t]) and delta[t] = sum_d d_o[t,d] o[t,d]:
//   dv[j] = sum_t p[t,j] d_o[t],   ds[t,j] = scale p[t,j] (d_o[t] . v[j] - delta[t])
//   dq[t] = sum_j ds[t,j] k[j],    dk[j] = sum_t ds[t,j] q[t]    (dk, dv also summed over the heads that share j)
//
// Shapes:  as above; all gradients are overwritten, with 0 for a query without keys and a key that no query sees. The
//          order of every sum is fixed, whatever the number of threads.
// Cost:    queries and keys are cut into parts such that no query sees a key of another part, as between documents.
//          Holds q, k, v, d_o, repacked, and dq, dk, dv in f32 of one part and head: for each thread, or once if key
//          heads and parts are too few for the threads. Pieces for threads: key heads times parts; of a single part of
//          causal documents Tq / 256 on average.
struct AttentionBackwardArgs {
  Tensor dq, dk, dv;
  Tensor d_o, q, k, v, o, lse;
  AttentionMask mask;
  double scale = 1;
};
void attention_backward(Stream& stream, const AttentionBackwardArgs& args);

}  // namespace birkhoff

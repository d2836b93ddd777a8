#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Causal attention within documents, in tiles: no T x T matrix exists in memory. Query head h reads key head
// h / (H / Hkv). Key j is visible to query t where document_start[t] <= j <= t:
//   s[t,j] = scale * sum_d q[t,h,d] k[j,d],   lse[t,h] = ln sum_j exp(s[t,j])
//   o[t,h] = sum_j exp(s[t,j] - lse[t,h]) v[j]
//
// Shapes:  q [T, H, Dqk]; k [T, Hkv, Dqk]; v [T, Hkv, Dv]; o [T, H, Dv]; lse [T, H], written here and read by the
//          backward; document_start i32 [T], non-decreasing, document_start[t] <= t, equal within a document.
// Types:   q, k, v, o f32 or bf16, the same; lse f32. Scores, softmax and sums in f32; where the processor multiplies
//          bf16, the weights of a product (p, and ds of the backward) are rounded to it.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees, or H is no multiple of Hkv.
// Cost:    counted as 2 H (Dqk + Dv) T (L + 1) / 2 operations with L = max_length, the longest document there can be
//          (0: T); the backward as 2.5 times that. Work done follows the documents. Holds k and v, repacked, of a few
//          key heads. Pieces for threads: heads times blocks of 256 queries.
// Source:  Dao 2023, arXiv:2307.08691, algorithms 1 and 2.
struct AttentionArgs {
  Tensor o, lse;
  Tensor q, k, v, document_start;
  double scale = 1;
  int64_t max_length = 0;
};
void attention_forward(Stream& stream, const AttentionArgs& args);

// With p[t,j] = exp(s[t,j] - lse[t]) and delta[t] = sum_d d_o[t,d] o[t,d]:
//   dv[j] = sum_t p[t,j] d_o[t],   ds[t,j] = scale p[t,j] (d_o[t] . v[j] - delta[t])
//   dq[t] = sum_j ds[t,j] k[j],    dk[j] = sum_t ds[t,j] q[t]    (dk, dv also summed over the heads that share j)
//
// Shapes:  as above; all gradients are overwritten. The order of every sum is fixed, whatever the number of threads.
// Cost:    holds q, k, v, d_o, repacked, and dq, dk, dv in f32 of one document and head: for each thread, or once where
//          key heads and documents are too few for the threads. Pieces for threads: key heads times documents; of a
//          single one L / 256 on average.
struct AttentionBackwardArgs {
  Tensor dq, dk, dv;
  Tensor d_o, q, k, v, o, lse, document_start;
  double scale = 1;
  int64_t max_length = 0;
};
void attention_backward(Stream& stream, const AttentionBackwardArgs& args);

}  // namespace birkhoff

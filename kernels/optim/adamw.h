#pragma once
#include <cstdint>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

struct AdamWHyper {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0;
  double grad_scale = 1;  // multiplies the gradient: clipping, division by the number of tokens
  int64_t step = 1;       // number of this update, counted from 1, for the bias correction
};

// Adam with decoupled weight decay, in one pass. With g = grad_scale * grad:
//   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
//   w = (1 - lr wd) w - lr / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + eps)
//   weight_copy = w
//
// Shapes:  weight, grad, m, v of equal count; weight_copy too, or absent.
// Types:   weight, grad f32; m, v are each f32 or bf16; weight_copy bf16 or f32. Arithmetic is in f32, the corrections
//          in f64; the update uses m and v before they are rounded for storage. An m that would be subnormal becomes 0,
//          and then a subnormal v becomes 0 too. So moments that receive no more gradients end as zeros; subnormal
//          arithmetic is slow and would go on forever.
// Aliases: none.
// Errors:  UserError if a count or dtype disagrees, if step < 1, or if a moment is bf16 and its beta is above 1 - 2^-8,
//          with which it could not decay.
// Cost:    reads four arrays, writes three or four, once; bound by memory bandwidth.
// Source:  Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2; the weight decay is multiplied by the learning
//          rate.
struct AdamWArgs {
  Tensor weight, m, v, weight_copy;
  Tensor grad;
  AdamWHyper hyper;
};
void adamw(Stream& stream, const AdamWArgs& args);

// The same for the listed rows of a table; the other rows keep their weights and moments. The bias correction uses the
// global step. If a row gets its first gradient late, its first update is therefore smaller than if the correction
// counted the updates of that row.
//
// Shapes:  weight, m, v, weight_copy [N, C]; rows [U]; grad [U, C]. grad[u] is the gradient of row rows[u] - first_row
//          of weight. Ids ascend strictly. Ids outside [first_row, first_row + N) are skipped, so the list may contain
//          padding and rows of other shards.
// Types:   as above; rows i32 or i64.
struct AdamWRowsArgs {
  Tensor weight, m, v, weight_copy;
  Tensor grad, rows;
  int64_t first_row = 0;
  AdamWHyper hyper;
};
void adamw_rows(Stream& stream, const AdamWRowsArgs& args);

}  // namespace birkhoff

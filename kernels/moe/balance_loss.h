#pragma once
#include <cstdint>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Sequence-wise balance loss. For each sequence of `length` consecutive tokens, n of them not masked, with
// p[t,e] = s[t,e] / sum_j s[t,j]:
//   fraction[q,e] = E / (K n) * number of tokens of q with e among the K largest s (ties go to the smaller index)
//   P[q,e]        = 1/n * sum_{t in q} p[t,e]
//   loss         += alpha * weight * sum_q sum_e fraction[q,e] * P[q,e]
// `weight` applies to each sequence: set it to 1 / (number of sequences of the global batch) to get their mean. A
// perfectly balanced sequence adds alpha * weight; one whose tokens are all masked adds 0.
//
// If `chosen` is given, its experts are counted instead of the K largest; it is the choice that another computation of
// the same step made. `index`, if given, receives the experts that were counted, or -1 for masked tokens.
//
// Shapes:  loss one element; fraction [T / length, E], kept for the backward; scores [T, E]; token_mask [T] or absent;
//          index and chosen [T, K] or absent.
// Types:   f32; token_mask u8; index, chosen i32. alpha and alpha * weight are rounded to f32. Sums are taken in f32
//          within a sequence and in f64 over sequences, in a fixed order.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees, if length is 0 or does not divide T, or if num_chosen is not in
//          [1, E]; BugError if `chosen` names an expert that does not exist.
// Cost:    reads scores once and chooses the K largest of each token again; holds 2 E sums for every 128 tokens.
// Source:  DeepSeek-V3, arXiv:2412.19437, equations 17-20.
struct BalanceLossArgs {
  Tensor loss, fraction, index;
  Tensor scores, chosen, token_mask;
  int64_t length = 0, num_chosen = 0;
  double alpha = 0, weight = 1;
};
void balance_loss_forward(Stream& stream, const BalanceLossArgs& args);

// The fraction is treated as a constant:
//   dscores[t,e] = alpha * weight / n * (fraction[q,e] - sum_j fraction[q,j] p[t,j]) / sum_j s[t,j],   0 if masked
//
// Shapes:  as above; dscores [T, E] is overwritten. router_backward adds it to its own gradient.
struct BalanceLossBackwardArgs {
  Tensor dscores;
  Tensor scores, fraction, token_mask;
  int64_t length = 0;
  double alpha = 0, weight = 1;
};
void balance_loss_backward(Stream& stream, const BalanceLossBackwardArgs& args);

}  // namespace birkhoff

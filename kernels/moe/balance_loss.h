#pragma once
#include <cstdint>

#include "kernels/core/dtype.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Sequence-wise balance loss. For each sequence q of `length` consecutive tokens, n[q] of them not masked, with
// p[t,e] = s[t,e] / sum_j s[t,j]:
//   counts[q,e]      = number of unmasked tokens of q with e among the K largest s (ties go to the smaller index)
//   counts[q,E]      = n[q]
//   probability[q,e] = sum_{t in q} p[t,e]
//   fraction[q,e]    = E / (K n[q]) * counts[q,e]
//   loss            += alpha * weight * sum_q sum_e fraction[q,e] * probability[q,e] / n[q]
// `weight` applies to each sequence: set it to 1 / (number of sequences of the global batch) to get their mean. A
// perfectly balanced sequence adds alpha * weight; one whose tokens are all masked adds 0.
//
// Ranks may divide the tokens. Each has a run of them, which may begin and end inside a sequence, and whose first token
// is token `first` of all. balance_counts computes what the run contributes to probability and counts. The counts of
// all ranks must then be added up, while each rank keeps its own probability: the sum of the losses of the ranks is the
// loss, and each rank can compute the gradients of its own tokens. One rank adds nothing in between.

// The dtype of probability and counts on all devices. Counts in f64 are exact, and so are their sums over ranks.
inline constexpr DType kBalanceSums = DType::f64;

// Counts the choices of a run of T tokens.
//
// If `chosen` is given, its experts are counted instead of the K largest; it is the choice that another computation of
// the same step made. `index`, if given, receives the experts that were counted, or -1 for masked tokens.
//
// Shapes:  probability [Q, E] and counts [Q, E + 1], of all Q sequences, are overwritten; scores [T, E]; token_mask [T]
//          or absent; index and chosen [T, K] or absent.
// Types:   probability, counts f64; scores f32; token_mask u8; index, chosen i32. The p of a sequence are summed in f32
//          over 128 tokens at a time, counted from the run's first token of the sequence, and these sums in f64, in a
//          fixed order.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees, if tokens [first, first + T) are not within Q sequences, or if
//          num_chosen is not in [1, E]; BugError if `chosen` names an expert that does not exist.
// Cost:    reads scores once and chooses the K largest of each token again; holds 2 E sums for every 128 tokens.
// Source:  DeepSeek-V3, arXiv:2412.19437, equations 17-20.
struct BalanceCountsArgs {
  Tensor probability, counts, index;
  Tensor scores, chosen, token_mask;
  int64_t first = 0, length = 0, num_chosen = 0;
};
void balance_counts(Stream& stream, const BalanceCountsArgs& args);

// Adds the loss of the tokens that are in `probability`; `counts` are those of all tokens.
//
// Shapes:  loss one element; fraction [Q, E], kept for the backward; probability [Q, E]; counts [Q, E + 1].
// Types:   loss, fraction f32; probability, counts f64. alpha and alpha * weight are rounded to f32. The sum over
//          experts and sequences is taken in f64, in a fixed order.
// Errors:  UserError if a shape or dtype disagrees or if num_chosen is not in [1, E].
struct BalanceLossArgs {
  Tensor loss, fraction;
  Tensor probability, counts;
  int64_t num_chosen = 0;
  double alpha = 0, weight = 1;
};
void balance_loss_forward(Stream& stream, const BalanceLossArgs& args);

// The fraction is treated as a constant:
//   dscores[t,e] = alpha * weight / n[q] * (fraction[q,e] - sum_j fraction[q,j] p[t,j]) / sum_j s[t,j],   0 if masked
//
// Shapes:  as above, for the same run of tokens; dscores [T, E] is overwritten. router_backward adds it to its own
//          gradient.
struct BalanceLossBackwardArgs {
  Tensor dscores;
  Tensor scores, fraction, counts, token_mask;
  int64_t first = 0, length = 0;
  double alpha = 0, weight = 1;
};
void balance_loss_backward(Stream& stream, const BalanceLossBackwardArgs& args);

}  // namespace birkhoff

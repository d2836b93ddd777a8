#pragma once
#include <cstdint>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// The cross-entropy of cross_entropy.h where the vocabulary is divided over ranks, each of which has the logits of the
// ids [first, first + V). A softmax needs sums over the whole vocabulary, so there are two ops. The first computes of
// every row what the ranks exchange, and the second finishes from what all of them found.
//
//   statistics[t] = (m, sum_v exp(logits[t,v] - m), logits[t,u])      m = max_v logits[t,v]
// over the part's ids v, with the target u = targets[t]. The third number is 0 if the part does not have the target. A
// part without ids has (-inf, 0, 0).
//
// Shapes:  statistics [T, 3]; logits [T, V] with V >= 0; targets [T].
// Types:   f32; targets i32 in [-1, vocabulary).
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees, or if the ids are not within the vocabulary; BugError if a target
//          is outside [-1, vocabulary).
// Cost:    reads logits twice; bound by memory bandwidth.
// Source:  Shoeybi et al. 2019, arXiv:1909.08053, section 3.
struct CrossEntropyStatisticsArgs {
  Tensor statistics;
  Tensor logits, targets;
  int64_t first = 0, vocabulary = 0;
};
void cross_entropy_statistics(Stream& stream, const CrossEntropyStatisticsArgs& args);

// From the statistics of all n parts follow lse[t] and logits[t,u] of the whole vocabulary, and with them
//   nll[t]        = lse[t] - logits[t,u]
//   loss         += sum_t weight[t] (nll[t] + z_loss lse[t]^2)     over rows [counted_begin, counted_begin + counted)
//   dlogits[t,v]  = weight[t] ((1 + 2 z_loss lse[t]) exp(logits[t,v] - lse[t]) - [v = u])     v of the part
// nll and dlogits of a row without target (u = -1) are zero. All parts compute the same nll. If each part counts other
// rows, the sum of their losses is the loss. With one part that counts all rows, all results have the bits of
// cross_entropy.
//
// Shapes:  statistics [n, T, 3], in the order of the parts; logits, dlogits [T, V]; nll, weight, targets [T]; loss [1].
//          Each output may be absent.
// Types:   as in cross_entropy.h.
// Aliases: dlogits may be logits if both are f32.
// Errors:  as above; UserError also if the counted rows are not among the T rows.
// Cost:    reads logits once and computes the exponentials a second time, since the maximum may have changed; writes
//          dlogits once.
// Source:  as above; z-loss as in cross_entropy.h.
struct CrossEntropyPartArgs {
  Tensor loss, nll, dlogits;
  Tensor logits, statistics, targets, weight;
  int64_t first = 0, vocabulary = 0;
  int64_t counted_begin = 0, counted = 0;
  double z_loss = 0;
};
void cross_entropy_part(Stream& stream, const CrossEntropyPartArgs& args);

}  // namespace birkhoff

#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Softmax cross-entropy of rows of logits and its gradient, in one pass. With lse[t] = log sum_v exp(logits[t,v]) and
// u = targets[t], where u = -1 marks a row without loss:
//   nll[t]        = lse[t] - logits[t,u]
//   loss         += sum_t weight[t] (nll[t] + z_loss lse[t]^2)
//   dlogits[t,v]  = weight[t] ((1 + 2 z_loss lse[t]) softmax(logits[t])[v] - [v = u])
// nll and dlogits of a row without loss are zero.
//
// Shapes:  logits, dlogits [T, V]; nll, weight [T]; targets [T]; loss [1]. Each output may be absent.
// Types:   logits, nll, weight, loss f32; dlogits f32 or bf16; targets i32 in [-1, V). The weight includes the
//          normalization, such as 1 / (number of tokens of the step). The sum over t is taken in f64, in a fixed order.
// Aliases: dlogits may be logits if both are f32.
// Errors:  UserError if a shape or dtype disagrees; BugError if a target is outside [-1, V).
// Cost:    reads logits twice, writes dlogits once; bound by memory bandwidth.
// Source:  derived in docs/numerics.md; z-loss: Chowdhery et al. 2022, arXiv:2204.02311, section 5.
struct CrossEntropyArgs {
  Tensor loss, nll, dlogits;
  Tensor logits, targets, weight;
  double z_loss = 0;
};
void cross_entropy(Stream& stream, const CrossEntropyArgs& args);

}  // namespace birkhoff

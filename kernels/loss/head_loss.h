#pragma once
#include "kernels/core/arena.h"
#include "kernels/gemm/precision.h"

namespace birkhoff {

// Output head and cross-entropy without ever holding the logits of all tokens: for one chunk of rows at a time,
// computes logits = x head^T, cross_entropy, dx = dlogits head, dhead += dlogits^T x. The head is the last layer, so
// the backward of a chunk can follow its forward at once, and no logits are kept.
//
// A chunk has the whole vocabulary and head_loss_rows(V) rows: about 16 MiB of f32 logits, at least 64 rows.
// docs/decisions/row-chunks.md says why chunks do not divide the vocabulary instead.
//
// Shapes:  x, dx [T, C]; head weight, dhead [V, C]; targets, weight, nll [T]; loss [1]; see cross_entropy.h. dx, dhead
//          and nll may be absent; without dx and dhead this is an evaluation.
// Types:   x, dx of the recipe's activation dtype; loss, nll, dhead, weight f32; targets i32. loss and dhead
//          accumulate; dx and nll are overwritten.
// Aliases: dx may be x.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    2 T V C flops, 6 T V C with both gradients. Holds the f32 logits of one chunk and, with gradients and a
//          recipe other than f32, also their gradient in the activation dtype.
// Source:  that of cross_entropy.h.
struct HeadLossArgs {
  Tensor loss, nll, dx, dhead;
  Tensor x, targets, weight;
  Weight head;
  double z_loss = 0;
};
// Takes temporaries from the arena and rewinds it.
void head_loss(Stream& stream, Arena& arena, LinearGemms& gemms, const HeadLossArgs& args);

// Rows of a chunk for a vocabulary of V.
int64_t head_loss_rows(int64_t V);

}  // namespace birkhoff

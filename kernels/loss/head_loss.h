#pragma once
#include <cstdint>
#include <functional>

#include "kernels/core/arena.h"
#include "kernels/gemm/precision.h"

namespace birkhoff {

// The head of one of `num_parts` ranks that divide the vocabulary. Each has a run of its ids, the runs follow one
// another in the order of the parts, and their sizes differ by at most one. All of them run head_loss on the same rows.
struct VocabularyPart {
  int64_t first = 0;       // the first id of this part
  int64_t vocabulary = 0;  // ids of all parts
  int64_t num_parts = 1;
  // The rows whose loss this part adds: [counted_begin, counted_begin + counted). The parts divide the rows.
  int64_t counted_begin = 0, counted = 0;
  // Writes the `own` [rows, 3] of every part to `all` [num_parts, rows, 3], in the order of the parts. Called once for
  // each chunk of rows.
  std::function<void(Stream& stream, Tensor all, Tensor own)> gather;
};

// Output head and cross-entropy without ever holding the logits of all tokens: for one chunk of rows at a time,
// computes logits = x head^T, cross_entropy, dx = dlogits head, dhead += dlogits^T x. The head is the last layer, so
// the backward of a chunk can follow its forward at once, and no logits are kept.
//
// A chunk has the whole vocabulary and head_loss_rows(V) rows: about 16 MiB of f32 logits, at least 64 rows.
// docs/decisions/row-chunks.md says why chunks do not divide the vocabulary instead.
//
// If `part` is given, the head has only the part's V ids, which may be none. Then dx is what this part contributes, to
// be summed over the parts; dhead is complete for the part's ids; nll is that of all rows; and loss has the rows that
// this part counts. A chunk has as many rows on all parts: head_loss_rows() of the ids of the largest part.
//
// Shapes:  x, dx [T, C]; head weight, dhead [V, C]; targets, weight, nll [T]; loss [1]; see cross_entropy.h. dx, dhead
//          and nll may be absent; without dx and dhead this is an evaluation.
// Types:   x of the recipe's activation dtype, dx of this dtype or f32; loss, nll, dhead, weight f32; targets i32. loss
//          and dhead accumulate; dx and nll are overwritten.
// Aliases: dx may be x if it has its dtype.
// Errors:  UserError if a shape or dtype disagrees, or if the part is not within the vocabulary.
// Cost:    2 T V C flops, 6 T V C with both gradients. Holds the f32 logits of one chunk and, with gradients and a
//          recipe other than f32, also their gradient in the activation dtype. A part also holds 3 (num_parts + 1)
//          numbers for each row of a chunk.
// Source:  that of cross_entropy.h and cross_entropy_part.h.
struct HeadLossArgs {
  Tensor loss, nll, dx, dhead;
  Tensor x, targets, weight;
  Weight head;
  double z_loss = 0;
  const VocabularyPart* part = nullptr;
};
// Takes temporaries from the arena and rewinds it.
void head_loss(Stream& stream, Arena& arena, LinearGemms& gemms, const HeadLossArgs& args);

// Rows of a chunk for a vocabulary of V.
int64_t head_loss_rows(int64_t V);

}  // namespace birkhoff

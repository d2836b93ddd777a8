#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Stable counting sort of the pairs (t, k) by expert. The sorted pairs are called rows: the rows of expert e are
// [offsets[e], offsets[e+1]), within an expert in order of (t, k).
//   row_of[t,k] = position of the pair;  token_of[row_of[t,k]] = t
// A pair with index -1 has no row: its row_of is -1, and only the first offsets[E] elements of token_of are written.
//
// Shapes:  index, row_of [T, K]; token_of [T * K]; offsets [E + 1].
// Types:   i32; offsets i64.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees. An index outside [-1, E) is a BugError.
// Cost:    two passes over index.
// Source:  counting sort; Knuth, The Art of Computer Programming, volume 3, section 5.2, algorithm D.
struct ExpertOrderArgs {
  Tensor offsets, row_of, token_of;
  Tensor index;
};
void expert_order(Stream& stream, const ExpertOrderArgs& args);

}  // namespace birkhoff

#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

//   y[t,c] = table[ids[t],c]      (+ y[t,c] with accumulate)
//
// Shapes:  y [T, C]; table [V, C]; ids [T] with values in [0, V).
// Types:   y f32 or bf16; table f32; ids i32.
// Errors:  UserError if a shape or dtype disagrees; BugError if an id is out of range.
struct EmbeddingArgs {
  Tensor y;
  Tensor table, ids;
  bool accumulate = false;
};
void embedding_forward(Stream& stream, const EmbeddingArgs& args);

//   dtable[ids[t],c] += dy[t,c]
// Rows that occur several times are summed in the order of t, whatever the number of threads: threads share out the
// columns.
struct EmbeddingBackwardArgs {
  Tensor dtable;
  Tensor dy, ids;
};
void embedding_backward(Stream& stream, const EmbeddingBackwardArgs& args);

}  // namespace birkhoff

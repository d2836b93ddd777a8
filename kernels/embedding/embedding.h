#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Rows of a table by id: y[t,c] = table[ids[t],c].
//
// Shapes:  y [T, C]; table [V, C]; ids i32 [T].
// Types:   y f32 or bf16; table f32.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees, or, on host devices, if an id is outside [0, V).
// Cost:    reads T rows, writes y; bound by memory bandwidth.
// Source:  elementary.
struct EmbeddingArgs {
  Tensor y;
  Tensor table, ids;
};
void embedding_forward(Stream& stream, const EmbeddingArgs& args);

// dtable[ids[t],c] += dy[t,c], tokens in ascending order for any number of threads.
//
// Shapes:  dtable [V, C]; dy [T, C]; ids i32 [T]. dtable accumulates.
// Types:   dy f32 or bf16; dtable f32.
struct EmbeddingBackwardArgs {
  Tensor dtable;
  Tensor dy, ids;
};
void embedding_backward(Stream& stream, const EmbeddingBackwardArgs& args);

}  // namespace birkhoff

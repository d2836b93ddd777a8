#pragma once
#include <cstdint>

#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Rows of a table by id: y[t,c] = table[ids[t],c].
//
// The table may be a part of that of a larger vocabulary: its rows are those of the ids [first, first + V) out of
// `vocabulary`. Then y[t] = 0 for an id outside this range, so the sum of y over all parts is that of the whole table.
//
// Shapes:  y [T, C]; table [V, C]; ids i32 [T]. `vocabulary` 0 stands for V.
// Types:   y f32 or bf16; table f32.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees, if the rows are not within the vocabulary, or, on host devices, if
//          an id is outside [0, vocabulary).
// Cost:    reads T rows, writes y; bound by memory bandwidth.
// Source:  elementary.
struct EmbeddingArgs {
  Tensor y;
  Tensor table, ids;
  int64_t first = 0, vocabulary = 0;
};
void embedding_forward(Stream& stream, const EmbeddingArgs& args);

// dtable[ids[t],c] += dy[t,c], tokens in ascending order for any number of threads. Ids of rows that this part of the
// table does not have are skipped.
//
// Shapes:  dtable [V, C]; dy [T, C]; ids i32 [T]; `first` and `vocabulary` as above. dtable accumulates.
// Types:   dy f32 or bf16; dtable f32.
struct EmbeddingBackwardArgs {
  Tensor dtable;
  Tensor dy, ids;
  int64_t first = 0, vocabulary = 0;
};
void embedding_backward(Stream& stream, const EmbeddingBackwardArgs& args);

}  // namespace birkhoff

#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Cuts every row in two, or joins two rows: each is the other's backward.
//   split:   left[r] = whole[r, 0 .. A),  right[r] = whole[r, A .. A + B)
//
// Shapes:  whole [..., A + B]; left [..., A]; right [..., B]; equal numbers of rows.
// Types:   f32 or bf16 (f64 on the reference device), all the same.
// Errors:  UserError if a shape or dtype disagrees.
struct ColumnsArgs {
  Tensor whole, left, right;
};
void split_columns(Stream& stream, const ColumnsArgs& args);
void join_columns(Stream& stream, const ColumnsArgs& args);

}  // namespace birkhoff

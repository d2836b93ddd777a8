#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// left[t] = x[t,:A], right[t] = x[t,A:], and the reverse. Each is the backward of the other.
//
// Shapes:  x [..., A + B], left [..., A], right [..., B], read as matrices of equally many rows.
// Types:   any, all the same.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    reads and writes every element once; bound by memory bandwidth.
// Source:  elementary.
struct SplitColumnsArgs {
  Tensor left, right;
  Tensor x;
};
void split_columns(Stream& stream, const SplitColumnsArgs& args);

struct ConcatColumnsArgs {
  Tensor x;
  Tensor left, right;
};
void concat_columns(Stream& stream, const ConcatColumnsArgs& args);

}  // namespace birkhoff

#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// split_columns sets left[t] = x[t,:A], right[t] = x[t,A:]. concat_columns is its inverse. Each is the backward of the
// other.
//
// Shapes:  x [..., A + B], left [..., A], right [..., B], read as matrices with the same number of rows.
// Types:   any dtype, the same for all tensors.
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

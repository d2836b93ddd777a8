#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// One number from all elements of a tensor, left on the device. `out` has one element: a slot of a vector
// (Tensor::flat) that holds the sums of many tensors, so that a global norm is the sum of its slots in one order.
//
// Shapes:  x any; out one element.
// Types:   x f32, bf16 or f64; out below.
// Aliases: none.
// Errors:  UserError if out does not have exactly one element or a dtype disagrees.
// Cost:    reads x once; bound by memory bandwidth.
// Source:  elementary.
struct ReduceArgs {
  Tensor out;
  Tensor x;
};

// out = sum_i x[i]^2, overwritten. out f64 or f32; products and sums in f64, in one order whatever the number of
// threads. 0 for no elements.
void sum_of_squares(Stream& stream, const ReduceArgs& args);

// out = 1 / sqrt(sum_i x[i]^2), overwritten; 0 where the sum is 0. Types and order as for sum_of_squares.
void inverse_norm(Stream& stream, const ReduceArgs& args);

// out = max_i |x[i]|, overwritten. out f32 (or f64); NaN if any element is. 0 for no elements.
void abs_max(Stream& stream, const ReduceArgs& args);

// out = 1 if any element is infinite or NaN; left as it was otherwise, so that one flag serves many tensors. out i32.
void flag_nonfinite(Stream& stream, const ReduceArgs& args);

}  // namespace birkhoff

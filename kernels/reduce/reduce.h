#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Computes one number from all elements of a tensor and leaves it on the device. `out` has one element, which may be a
// slot of a vector (Tensor::flat).
//
// Shapes:  x any; out one element.
// Types:   x f32, bf16 or f64; out as stated for each function.
// Aliases: none.
// Errors:  UserError if out does not have exactly one element or a dtype disagrees.
// Cost:    reads x once; bound by memory bandwidth.
// Source:  elementary.
struct ReduceArgs {
  Tensor out;
  Tensor x;
};

// out = 1 / sqrt(sum_i x[i]^2), overwritten; 0 if the sum is 0. out is f64 or f32; products and sums are in f64, in an
// order that does not depend on the number of threads.
void inverse_norm(Stream& stream, const ReduceArgs& args);

// out = max_i |x[i]|, overwritten; 0 for no elements, NaN if any element is NaN. out is f32 (or f64).
void abs_max(Stream& stream, const ReduceArgs& args);

// Sets out to 1 if any element is infinite or NaN, otherwise leaves it unchanged, so that one flag serves many tensors.
// out is i32.
void flag_nonfinite(Stream& stream, const ReduceArgs& args);

}  // namespace birkhoff

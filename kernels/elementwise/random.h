#pragma once
#include "kernels/core/philox.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// to[i] = std * normal(first + i) of the sequence (seed, key), so a part of a tensor gets the same values as if the
// whole tensor were filled.
// Types:   f32, bf16 or f64. Values are drawn in f64 and rounded to f32 first, so that every device starts from the
//          same numbers.
struct FillNormalArgs {
  Tensor to;
  uint64_t seed = 0, key = 0;
  int64_t first = 0;
  double std = 1;
};
void fill_normal(Stream& stream, const FillNormalArgs& args);

// Copies host values to a floating tensor of any dtype. Each is rounded to f32 first.
void from_doubles(Stream& stream, Tensor to, const double* values);

}  // namespace birkhoff

#pragma once
#include "kernels/core/philox.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// to[i] = std * normal(first + i) of the sequence (seed, key): a part of a tensor gets what the whole would have there.
// Types: f32, bf16 or f64; drawn in f64 and rounded once to f32, so that every device starts from the same numbers.
struct FillNormalArgs {
  Tensor to;
  uint64_t seed = 0, key = 0;
  int64_t first = 0;
  double std = 1;
};
void fill_normal(Stream& stream, const FillNormalArgs& args);

// Host values to a floating tensor of any dtype, each rounded to f32 first.
void from_doubles(Stream& stream, Tensor to, const double* values);

}  // namespace birkhoff

#pragma once
// Defined in a CUDA build only, like memory.h.
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff::cuda {

// Between f32 and bf16, equal counts.
void convert(Stream& stream, Tensor to, Tensor from);
void fill(Stream& stream, Tensor to, float value);

}  // namespace birkhoff::cuda

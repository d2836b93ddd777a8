#pragma once
// Defined in a CUDA build only, like memory.h.
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff::cuda {

// Converts between f32 and bf16; both tensors have the same count.
void convert(Stream& stream, Tensor to, Tensor from);
void fill(Stream& stream, Tensor to, float value);

}  // namespace birkhoff::cuda

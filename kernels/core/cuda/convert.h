#pragma once
// Defined only in a CUDA build, like the functions of cuda_memory.h.
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff::cuda {

// Converts between f32 and bf16; both tensors have the same count.
void convert(Stream& stream, Tensor to, Tensor from);
void fill(Stream& stream, Tensor to, float value);

}  // namespace birkhoff::cuda

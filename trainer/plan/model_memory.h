#pragma once
#include <cstdint>

#include "trainer/step/model.h"

namespace birkhoff {

// Bytes of the weights' working copies: packed, rounded, quantized.
int64_t packed_weight_bytes(const Model& model);

// Bytes that the kernels of a step take beside its tensors, at their peak: those of the largest weight gradient, which
// lays both operands out anew for the product. `tokens` is a microbatch's.
int64_t kernel_scratch_bytes(const Model& model, int64_t tokens);

}  // namespace birkhoff

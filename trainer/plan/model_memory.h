#pragma once
#include <cstdint>

#include "trainer/step/model.h"

namespace birkhoff {

// Bytes of the working copies of the weights: packed, rounded or quantized.
int64_t packed_weight_bytes(const Model& model);

// Peak bytes of scratch that the kernels of a step allocate in addition to its tensors: those of the largest weight
// gradient, whose product repacks both operands. `tokens`: tokens of a microbatch.
int64_t kernel_scratch_bytes(const Model& model, int64_t tokens);

}  // namespace birkhoff

#pragma once
#include <string>

#include "kernels/core/tensor.h"
#include "parallel/shard/slice.h"

namespace birkhoff {

// The first value that is not finite among elements [begin, begin + part.count()) of a slice, counted as they lie in
// memory, `part` being these in host memory: "layers.1.ffn.up.weight, element [3, 5], is nan". Empty where all are
// finite, and for integers. Memory is taken only where there is one, so parts should be small.
std::string find_nonfinite(const std::string& name, const Slice& slice, int64_t begin, const Tensor& part);

}  // namespace birkhoff

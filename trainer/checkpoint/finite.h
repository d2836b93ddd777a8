#pragma once
#include <string>

#include "kernels/core/tensor.h"
#include "parallel/shard/slice.h"

namespace birkhoff {

// Describes the first value that is not finite among elements [begin, begin + part.count()) of a slice, counted in
// memory order; `part` holds these elements in host memory. Example: "layers.1.ffn.up.weight, element [3, 5], is nan".
// Returns an empty string if all values are finite or the tensor holds integers. To locate a value that is not finite,
// all of `part` is converted to doubles, so `part` should be small.
std::string find_nonfinite(const std::string& name, const Slice& slice, int64_t begin, const Tensor& part);

}  // namespace birkhoff

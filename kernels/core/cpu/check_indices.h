#pragma once
#include <string_view>

#include "kernels/core/error.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// UserError unless every element of an i32 tensor in host memory is in [0, bound).
inline void check_indices(std::string_view what, Tensor indices, int64_t bound) {
  const int32_t* p = indices.as<int32_t>();
  for (int64_t i = 0; i < indices.count(); ++i) {
    BK_CHECK(p[i] >= 0 && p[i] < bound, what, " ", i, " is ", p[i], ", expected 0 to ", bound - 1);
  }
}

}  // namespace birkhoff

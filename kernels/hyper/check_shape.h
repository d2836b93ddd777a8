#pragma once
#include "kernels/core/error.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// UserError unless the tensor has that shape.
inline void check_shape(const char* op, const char* name, const Tensor& tensor, const Shape& expected) {
  BK_CHECK(tensor.shape == expected, op, ": ", name, " is ", tensor.shape, ", expected ", expected);
}

// UserError unless the tensor has that shape and the dtype of the activations.
inline void check_activation(const char* op, const char* name, const Tensor& tensor, const Shape& expected,
                             DType dtype) {
  BK_CHECK(tensor.shape == expected && tensor.dtype == dtype, op, ": ", name, " is ", tensor.dtype, tensor.shape,
           ", expected ", dtype, expected);
}

}  // namespace birkhoff

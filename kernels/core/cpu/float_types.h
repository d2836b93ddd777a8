#pragma once
#include "kernels/core/dtype.h"
#include "kernels/core/error.h"

namespace birkhoff {

// Calls body.operator()<T>() with T = float or bfloat16, the types that activations have on the cpu device.
template <class Body>
void with_activation_type(DType dtype, Body body) {
  switch (dtype) {
    case DType::f32:
      return body.template operator()<float>();
    case DType::bf16:
      return body.template operator()<bfloat16>();
    default:
      throw UserError(concat("an activation on the cpu device is f32 or bf16, not ", dtype));
  }
}

}  // namespace birkhoff

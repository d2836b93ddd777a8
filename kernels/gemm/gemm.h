#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// Matrix product:
//   c[m,n] = sum_k op(a)[m,k] op(b)[k,n]      (+ c[m,n] with accumulate)
// where op(a) is a, or its transpose with transpose_a; likewise b.
//
// Shapes:  c [M, N]; a [M, K], or [K, M] transposed; b [K, N], or [N, K] transposed. A tensor of higher rank is read as
//          [rows, last dim]. M, N or K may be zero; K = 0 gives zeros, or leaves c as it is with accumulate.
// Types:   a, b f32 and c f32; or a, b bf16 and c bf16 or f32. Products are summed in f32. accumulate requires c f32.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    2 M N K flops. Packs b in every call: for a weight use LinearGemms (precision.h), which packs once a step.
//          The result does not depend on the number of threads.
// Source:  elementary.
struct GemmArgs {
  Tensor c;
  Tensor a, b;
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;
};
void gemm(Stream& stream, const GemmArgs& args);

}  // namespace birkhoff

#pragma once
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

// The three matrix products of a layer of experts. Rows are sorted by expert: expert e owns the rows r in [offsets[e],
// offsets[e+1]); offsets[0] = 0 and offsets[E] <= R. An expert may own no row.
//   forward          y[r,:]  = x[r,:] weight[e]^T
//   backward_input   dx[r,:] = dy[r,:] weight[e]
//   backward_weight  dw[e]  += sum_r dy[r,:]^T x[r,:]
//
// Shapes:  x, dx [R, I]; y, dy [R, O]; weight, dw [E, O, I]; offsets i64 [E+1], on the stream's device. Rows from
//          offsets[E] on are padding: neither read nor written.
// Types:   x, weight f32 and y f32; or x, weight bf16 and y bf16 or f32 (dy, dx likewise). dw f32, accumulates.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    2 R O I flops. The meta device, which cannot read offsets, reports the same number. Results depend neither
//          on the number of threads nor on the rows of other experts.
// Source:  elementary.
struct GroupedGemmArgs {
  Tensor y;
  Tensor x, weight, offsets;
};
void grouped_gemm(Stream& stream, const GroupedGemmArgs& args);

struct GroupedGemmBackwardInputArgs {
  Tensor dx;
  Tensor dy, weight, offsets;
};
void grouped_gemm_backward_input(Stream& stream, const GroupedGemmBackwardInputArgs& args);

struct GroupedGemmBackwardWeightArgs {
  Tensor dw;
  Tensor dy, x, offsets;
};
void grouped_gemm_backward_weight(Stream& stream, const GroupedGemmBackwardWeightArgs& args);

}  // namespace birkhoff

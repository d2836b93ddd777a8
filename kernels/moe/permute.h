#pragma once
// Moves data between tokens [T, C] and the rows [R, C] on which experts compute, in the order of moe/expert_order.h.
// There are R = T * K rows, or fewer if some pairs (t, k) have none; row_of of such a pair is -1. What follows sums
// only over pairs that have a row, and the gradient of the gate of another pair is 0.
//
// A layer can apply the gates in two ways. Either combine multiplies the experts' outputs by the gates, or permute_gate
// gives every row its gate, which multiplies the intermediate activation, and combine is called without gates.
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff {

//   rows[r,c] = x[token_of[r],c]
//
// Shapes:  rows [R, C]; x [T, C]; token_of [R].
// Types:   rows, x have the same dtype, f32, bf16 or i32; token_of i32.
// Aliases: none.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    reads and writes every row once; bound by memory bandwidth.
// Source:  elementary.
struct PermuteArgs {
  Tensor rows;
  Tensor x, token_of;
};
void permute_forward(Stream& stream, const PermuteArgs& args);

//   dx[t,c] = sum_k drows[row_of[t,k],c]        summed in f32, in order of k; overwritten
//
// Shapes:  dx [T, C]; drows [R, C]; row_of [T, K].
// Types:   dx, drows have the same dtype, f32 or bf16; row_of i32.
struct PermuteBackwardArgs {
  Tensor dx;
  Tensor drows, row_of;
};
void permute_backward(Stream& stream, const PermuteBackwardArgs& args);

//   y[t,c] = base[t,c] + sum_k gate[t,k] * rows[row_of[t,k],c]        summed in f32, base first, then in order of k
//
// Shapes:  y, base [T, C]; rows [R, C]; gate, row_of [T, K]. base (the shared expert's output) may be absent,
//          which means 0; gate may be absent, which means 1.
// Types:   y, base, rows have the same dtype, f32 or bf16; gate f32; row_of i32.
// Aliases: y may be base.
// Errors:  UserError if a shape or dtype disagrees.
// Cost:    reads every row once, writes y once; bound by memory bandwidth.
struct CombineRowsArgs {
  Tensor y;
  Tensor rows, gate, base, row_of;
};
void combine_forward(Stream& stream, const CombineRowsArgs& args);

//   drows[row_of[t,k],c] = gate[t,k] * dy[t,c],   dgate[t,k] = sum_c dy[t,c] * rows[row_of[t,k],c]
// The gradient of base is dy. If gate is absent, dgate and rows are absent too.
//
// Shapes:  drows, rows [R, C]; dgate, gate, row_of [T, K]; dy [T, C]. Both outputs are overwritten.
// Types:   drows, rows, dy have the same dtype, f32 or bf16; dgate, gate f32; row_of i32.
// Aliases: drows may be rows.
struct CombineRowsBackwardArgs {
  Tensor drows, dgate;
  Tensor dy, rows, gate, row_of;
};
void combine_backward(Stream& stream, const CombineRowsBackwardArgs& args);

//   gate_rows[row_of[t,k]] = gate[t,k];       backward: dgate[t,k] = dgate_rows[row_of[t,k]], overwritten
//
// Shapes:  gate_rows [R]; gate, row_of [T, K].
// Types:   f32; row_of i32. The forward also moves i32, such as the experts of pairs.
struct PermuteGateArgs {
  Tensor gate_rows;
  Tensor gate, row_of;
};
void permute_gate_forward(Stream& stream, const PermuteGateArgs& args);

struct PermuteGateBackwardArgs {
  Tensor dgate;
  Tensor dgate_rows, row_of;
};
void permute_gate_backward(Stream& stream, const PermuteGateBackwardArgs& args);

}  // namespace birkhoff

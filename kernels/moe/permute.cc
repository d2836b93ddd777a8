#include "kernels/moe/permute.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void permute_forward(const PermuteArgs&);
void permute_backward(const PermuteBackwardArgs&);
void combine_forward(const CombineRowsArgs&);
void combine_backward(const CombineRowsBackwardArgs&);
void permute_gate_forward(const PermuteGateArgs&);
void permute_gate_backward(const PermuteGateBackwardArgs&);
}  // namespace cpu
namespace reference {
void permute_forward(const PermuteArgs&);
void permute_backward(const PermuteBackwardArgs&);
void combine_forward(const CombineRowsArgs&);
void combine_backward(const CombineRowsBackwardArgs&);
void permute_gate_forward(const PermuteGateArgs&);
void permute_gate_backward(const PermuteGateBackwardArgs&);
}  // namespace reference

namespace {

void check_pairs(std::string_view op, Tensor tokens, Tensor rows, Tensor row_of) {
  BK_CHECK(row_of.shape.rows() == tokens.shape.rows(), op, ": row_of is ", row_of.shape, ", tokens are ", tokens.shape);
  const bool fit = rows.shape.rank() == 2 && rows.shape[0] <= row_of.count() && rows.shape[1] == tokens.shape.back();
  BK_CHECK(fit && rows.dtype == tokens.dtype, op, ": rows are ", rows.dtype, rows.shape, ", tokens ", tokens.dtype,
           tokens.shape, ", row_of is ", row_of.shape);
}

}  // namespace

void permute_forward(Stream& stream, const PermuteArgs& a) {
  BK_CHECK(a.rows.shape == Shape({a.token_of.count(), a.x.shape.back()}) && a.rows.dtype == a.x.dtype,
           "permute: rows are ", a.rows.dtype, a.rows.shape, ", x is ", a.x.dtype, a.x.shape, ", token_of ",
           a.token_of.shape);
  OpScope scope(stream, "permute");
  BK_DISPATCH_HOST(stream, permute_forward, a);
}

void permute_backward(Stream& stream, const PermuteBackwardArgs& a) {
  check_pairs("permute", a.dx, a.drows, a.row_of);
  OpScope scope(stream, "permute_backward");
  BK_DISPATCH_HOST(stream, permute_backward, a);
}

void combine_forward(Stream& stream, const CombineRowsArgs& a) {
  check_pairs("combine", a.y, a.rows, a.row_of);
  BK_CHECK(!a.gate.present() || a.gate.shape == a.row_of.shape, "combine: gate is ", a.gate.shape, ", row_of ",
           a.row_of.shape);
  BK_CHECK(!a.base.present() || (a.base.shape == a.y.shape && a.base.dtype == a.y.dtype), "combine: base is ",
           a.base.dtype, a.base.shape, ", y ", a.y.dtype, a.y.shape);
  OpScope scope(stream, "combine");
  BK_DISPATCH_HOST(stream, combine_forward, a);
}

void combine_backward(Stream& stream, const CombineRowsBackwardArgs& a) {
  check_pairs("combine", a.dy, a.drows, a.row_of);
  BK_CHECK(a.gate.shape == a.dgate.shape && (!a.gate.present() || a.gate.shape == a.row_of.shape), "combine: gate is ",
           a.gate.shape, ", dgate ", a.dgate.shape, ", row_of ", a.row_of.shape);
  if (a.gate.present()) check_pairs("combine", a.dy, a.rows, a.row_of);
  OpScope scope(stream, "combine_backward");
  BK_DISPATCH_HOST(stream, combine_backward, a);
}

void permute_gate_forward(Stream& stream, const PermuteGateArgs& a) {
  BK_CHECK(
      a.gate.shape == a.row_of.shape && a.gate_rows.count() <= a.row_of.count() && a.gate_rows.dtype == a.gate.dtype,
      "permute_gate: gate is ", a.gate.dtype, a.gate.shape, ", gate_rows ", a.gate_rows.dtype, a.gate_rows.shape,
      ", row_of ", a.row_of.shape);
  OpScope scope(stream, "permute_gate");
  BK_DISPATCH_HOST(stream, permute_gate_forward, a);
}

void permute_gate_backward(Stream& stream, const PermuteGateBackwardArgs& a) {
  BK_CHECK(a.dgate.shape == a.row_of.shape && a.dgate_rows.count() <= a.row_of.count(), "permute_gate: dgate is ",
           a.dgate.shape, ", dgate_rows ", a.dgate_rows.shape, ", row_of ", a.row_of.shape);
  OpScope scope(stream, "permute_gate_backward");
  BK_DISPATCH_HOST(stream, permute_gate_backward, a);
}

}  // namespace birkhoff

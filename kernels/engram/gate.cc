#include "kernels/engram/gate.h"

#include "kernels/core/dispatch.h"
#include "kernels/hyper/check_shape.h"

namespace birkhoff {
namespace cpu {
void engram_gate_forward(const EngramGateArgs&);
void engram_gate_backward(const EngramGateBackwardArgs&);
}  // namespace cpu
namespace reference {
void engram_gate_forward(const EngramGateArgs&);
void engram_gate_backward(const EngramGateBackwardArgs&);
}  // namespace reference
namespace {

constexpr const char* kOp = "engram_gate";

// Returns the shape [T,S] of the statistics.
Shape check_inputs(const Tensor& h, const Tensor& kv, const Tensor& w_h, const Tensor& w_k) {
  const Shape s = h.shape;
  BK_CHECK(s.rank() == 3, kOp, ": h is ", s, ", expected [T,S,C]");
  check_activation(kOp, "kv", kv, {s[0], (s[1] + 1) * s[2]}, h.dtype);
  check_shape(kOp, "w_h", w_h, {s[1], s[2]});
  check_shape(kOp, "w_k", w_k, {s[1], s[2]});
  return {s[0], s[1]};
}

}  // namespace

void engram_gate_forward(Stream& stream, const EngramGateArgs& a) {
  const Shape statistics = check_inputs(a.h, a.kv, a.w_h, a.w_k);
  check_activation(kOp, "out", a.out, a.h.shape, a.h.dtype);
  if (a.value.present()) check_activation(kOp, "value", a.value, a.h.shape, a.h.dtype);
  if (a.mask.present()) check_activation(kOp, "mask", a.mask, {statistics[0]}, DType::u8);
  check_shape(kOp, "gate", a.gate, statistics);
  check_shape(kOp, "score", a.score, statistics);
  check_shape(kOp, "rstd_h", a.rstd_h, statistics);
  check_shape(kOp, "rstd_k", a.rstd_k, statistics);
  OpScope scope(stream, "engram_gate");
  BK_DISPATCH_HOST(stream, engram_gate_forward, a);
}

void engram_gate_backward(Stream& stream, const EngramGateBackwardArgs& a) {
  const Shape statistics = check_inputs(a.h, a.kv, a.w_h, a.w_k);
  check_activation(kOp, "dh", a.dh, a.h.shape, a.h.dtype);
  check_activation(kOp, "dout", a.dout, a.h.shape, a.h.dtype);
  if (a.dvalue.present()) check_activation(kOp, "dvalue", a.dvalue, a.h.shape, a.h.dtype);
  check_activation(kOp, "dkv", a.dkv, a.kv.shape, a.h.dtype);
  check_shape(kOp, "dw_h", a.dw_h, a.w_h.shape);
  check_shape(kOp, "dw_k", a.dw_k, a.w_k.shape);
  check_shape(kOp, "gate", a.gate, statistics);
  check_shape(kOp, "score", a.score, statistics);
  check_shape(kOp, "rstd_h", a.rstd_h, statistics);
  check_shape(kOp, "rstd_k", a.rstd_k, statistics);
  OpScope scope(stream, "engram_gate_backward");
  BK_DISPATCH_HOST(stream, engram_gate_backward, a);
}

}  // namespace birkhoff

#include "kernels/engram/conv.h"

#include "kernels/core/dispatch.h"
#include "kernels/hyper/check_shape.h"

namespace birkhoff {
namespace cpu {
void engram_conv_forward(const EngramConvArgs&);
void engram_conv_backward(const EngramConvBackwardArgs&);
}  // namespace cpu
namespace reference {
void engram_conv_forward(const EngramConvArgs&);
void engram_conv_backward(const EngramConvBackwardArgs&);
}  // namespace reference
namespace {

constexpr const char* kOp = "engram_conv";

// Checks what the arguments of both directions have in common, and returns the shape of out.
template <class Args>
Shape check_inputs(const Args& a) {
  const Shape s = a.x.shape;
  BK_CHECK(s.rank() == 3, kOp, ": x is ", s, ", expected [T,S,C]");
  BK_CHECK(a.halo >= 0 && a.halo <= s[0], kOp, ": a halo of ", a.halo, " rows, but x is ", s);
  BK_CHECK(a.weight.shape.rank() == 3 && a.dilation >= 1, kOp, ": weight is ", a.weight.shape, " of dilation ",
           a.dilation, ", expected [S,C,K] and at least 1");
  check_shape(kOp, "weight", a.weight, {s[1], s[2], a.weight.shape[2]});
  check_shape(kOp, "gain", a.gain, {s[1], s[2]});
  check_shape(kOp, "rstd", a.rstd, {s[0], s[1]});
  check_activation(kOp, "document_start", a.document_start, {s[0]}, DType::i32);
  return {s[0] - a.halo, s[1], s[2]};
}

}  // namespace

void engram_conv_forward(Stream& stream, const EngramConvArgs& a) {
  const Shape out = check_inputs(a);
  check_activation(kOp, "out", a.out, out, a.x.dtype);
  OpScope scope(stream, "engram_conv");
  BK_DISPATCH_HOST(stream, engram_conv_forward, a);
}

void engram_conv_backward(Stream& stream, const EngramConvBackwardArgs& a) {
  const Shape out = check_inputs(a);
  check_activation(kOp, "dout", a.dout, out, a.x.dtype);
  check_activation(kOp, "dx", a.dx, a.x.shape, a.x.dtype);
  check_shape(kOp, "dgain", a.dgain, a.gain.shape);
  check_shape(kOp, "dweight", a.dweight, a.weight.shape);
  OpScope scope(stream, "engram_conv_backward");
  BK_DISPATCH_HOST(stream, engram_conv_backward, a);
}

}  // namespace birkhoff

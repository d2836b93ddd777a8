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

void check_inputs(const Tensor& x, const Tensor& gain, const Tensor& weight, const Tensor& rstd,
                  const Tensor& document_start, int dilation) {
  const Shape s = x.shape;
  BK_CHECK(s.rank() == 3, kOp, ": x is ", s, ", expected [T,S,C]");
  BK_CHECK(weight.shape.rank() == 3 && dilation >= 1, kOp, ": weight is ", weight.shape, " of dilation ", dilation,
           ", expected [S,C,K] and at least 1");
  check_shape(kOp, "weight", weight, {s[1], s[2], weight.shape[2]});
  check_shape(kOp, "gain", gain, {s[1], s[2]});
  check_shape(kOp, "rstd", rstd, {s[0], s[1]});
  check_activation(kOp, "document_start", document_start, {s[0]}, DType::i32);
}

}  // namespace

void engram_conv_forward(Stream& stream, const EngramConvArgs& a) {
  check_inputs(a.x, a.gain, a.weight, a.rstd, a.document_start, a.dilation);
  check_activation(kOp, "out", a.out, a.x.shape, a.x.dtype);
  OpScope scope(stream, "engram_conv");
  BK_DISPATCH_HOST(stream, engram_conv_forward, a);
}

void engram_conv_backward(Stream& stream, const EngramConvBackwardArgs& a) {
  check_inputs(a.x, a.gain, a.weight, a.rstd, a.document_start, a.dilation);
  check_activation(kOp, "dout", a.dout, a.x.shape, a.x.dtype);
  check_activation(kOp, "dx", a.dx, a.x.shape, a.x.dtype);
  check_shape(kOp, "dgain", a.dgain, a.gain.shape);
  check_shape(kOp, "dweight", a.dweight, a.weight.shape);
  OpScope scope(stream, "engram_conv_backward");
  BK_DISPATCH_HOST(stream, engram_conv_backward, a);
}

}  // namespace birkhoff

#include "kernels/activation/gelu.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void gelu_forward(const GeluArgs&);
void gelu_backward(const GeluBackwardArgs&);
}  // namespace cpu
namespace reference {
void gelu_forward(const GeluArgs&);
void gelu_backward(const GeluBackwardArgs&);
}  // namespace reference

void gelu_forward(Stream& stream, const GeluArgs& a) {
  BK_CHECK(a.y.count() == a.x.count() && a.y.dtype == a.x.dtype, "gelu: y is ", a.y.dtype, a.y.shape, ", x is ",
           a.x.dtype, a.x.shape);
  OpScope scope(stream, "gelu");
  BK_DISPATCH_HOST(stream, gelu_forward, a);
}

void gelu_backward(Stream& stream, const GeluBackwardArgs& a) {
  BK_CHECK(
      a.dx.count() == a.x.count() && a.dy.count() == a.x.count() && a.dx.dtype == a.x.dtype && a.dy.dtype == a.x.dtype,
      "gelu: dx is ", a.dx.shape, ", dy is ", a.dy.shape, ", x is ", a.x.shape);
  OpScope scope(stream, "gelu_backward");
  BK_DISPATCH_HOST(stream, gelu_backward, a);
}

}  // namespace birkhoff

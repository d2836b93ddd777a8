#include "kernels/activation/swiglu.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void swiglu_forward(const SwigluArgs&);
void swiglu_backward(const SwigluBackwardArgs&);
}  // namespace cpu
namespace reference {
void swiglu_forward(const SwigluArgs&);
void swiglu_backward(const SwigluBackwardArgs&);
}  // namespace reference

void swiglu_forward(Stream& stream, const SwigluArgs& a) {
  const int64_t T = a.y.shape.rows(), F = a.y.shape.back();
  BK_CHECK(a.x.shape.back() == 2 * F && a.x.count() == 2 * a.y.count() && a.x.dtype == a.y.dtype, "swiglu: y is ",
           a.y.dtype, a.y.shape, ", x is ", a.x.dtype, a.x.shape);
  BK_CHECK(!a.scale.present() || a.scale.count() == T, "swiglu: scale is ", a.scale.shape, ", expected [", T, "]");
  OpScope scope(stream, "swiglu");
  BK_DISPATCH_HOST(stream, swiglu_forward, a);
}

void swiglu_backward(Stream& stream, const SwigluBackwardArgs& a) {
  const int64_t T = a.dy.shape.rows(), F = a.dy.shape.back();
  BK_CHECK(a.dx.shape == a.x.shape && a.x.shape.back() == 2 * F && a.x.count() == 2 * a.dy.count(), "swiglu: dx is ",
           a.dx.shape, ", x is ", a.x.shape, ", dy is ", a.dy.shape);
  BK_CHECK(a.dx.dtype == a.x.dtype && a.dy.dtype == a.x.dtype, "swiglu: dx is ", a.dx.dtype, ", x is ", a.x.dtype,
           ", dy is ", a.dy.dtype);
  BK_CHECK(a.scale.present() == a.dscale.present() && (!a.scale.present() || a.dscale.count() == T),
           "swiglu: scale is ", a.scale.shape, ", dscale is ", a.dscale.shape);
  OpScope scope(stream, "swiglu_backward");
  BK_DISPATCH_HOST(stream, swiglu_backward, a);
}

}  // namespace birkhoff

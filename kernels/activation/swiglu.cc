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

namespace {

// half: y or dy, [T, F].
void check(const char* name, Tensor half, Tensor x, Tensor row_scale) {
  BK_CHECK(half.shape.rows() == x.shape.rows() && 2 * half.shape.back() == x.shape.back() && half.dtype == x.dtype,
           "swiglu: ", name, " is ", half.dtype, half.shape, ", x is ", x.dtype, x.shape,
           ", expected [T, F] and [T, 2F]");
  BK_CHECK(!row_scale.present() || row_scale.count() == x.shape.rows(), "swiglu: row_scale is ", row_scale.shape,
           ", expected [", x.shape.rows(), "]");
}

}  // namespace

void swiglu_forward(Stream& stream, const SwigluArgs& a) {
  check("y", a.y, a.x, a.row_scale);
  OpScope scope(stream, "swiglu");
  BK_DISPATCH_HOST(stream, swiglu_forward, a);
}

void swiglu_backward(Stream& stream, const SwigluBackwardArgs& a) {
  check("dy", a.dy, a.x, a.row_scale);
  BK_CHECK(a.dx.shape == a.x.shape && a.dx.dtype == a.x.dtype, "swiglu: dx is ", a.dx.dtype, a.dx.shape, ", x is ",
           a.x.dtype, a.x.shape);
  BK_CHECK(!a.row_scale.present() || a.drow_scale.count() == a.row_scale.count(), "swiglu: drow_scale is ",
           a.drow_scale.shape, ", row_scale is ", a.row_scale.shape);
  OpScope scope(stream, "swiglu_backward");
  BK_DISPATCH_HOST(stream, swiglu_backward, a);
}

}  // namespace birkhoff

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

namespace {

void check_like(const char* name, Tensor t, Tensor x) {
  BK_CHECK(t.shape == x.shape && t.dtype == x.dtype, "gelu: ", name, " is ", t.dtype, t.shape, ", x is ", x.dtype,
           x.shape);
}

}  // namespace

void gelu_forward(Stream& stream, const GeluArgs& a) {
  check_like("y", a.y, a.x);
  OpScope scope(stream, "gelu");
  BK_DISPATCH_HOST(stream, gelu_forward, a);
}

void gelu_backward(Stream& stream, const GeluBackwardArgs& a) {
  check_like("dx", a.dx, a.x);
  check_like("dy", a.dy, a.x);
  OpScope scope(stream, "gelu_backward");
  BK_DISPATCH_HOST(stream, gelu_backward, a);
}

}  // namespace birkhoff

#include "kernels/elementwise/axpy.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void axpy(const AxpyArgs&);
void scale(const ScaleArgs&);
}  // namespace cpu
namespace reference {
void axpy(const AxpyArgs&);
void scale(const ScaleArgs&);
}  // namespace reference

void axpy(Stream& stream, const AxpyArgs& a) {
  BK_CHECK(a.y.count() == a.a.count() && a.y.count() == a.b.count(), "axpy: y is ", a.y.shape, ", a ", a.a.shape,
           ", b ", a.b.shape);
  OpScope scope(stream, "axpy");
  BK_DISPATCH_HOST(stream, axpy, a);
}

void scale(Stream& stream, const ScaleArgs& a) {
  BK_CHECK(a.y.count() == a.x.count(), "scale: y is ", a.y.shape, ", x ", a.x.shape);
  BK_CHECK(a.factor.count() <= 1, "scale: factor is ", a.factor.shape, ", expected one element");
  OpScope scope(stream, "scale");
  BK_DISPATCH_HOST(stream, scale, a);
}

}  // namespace birkhoff

#include "kernels/elementwise/add.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void add(const AddArgs&);
void scale(const ScaleArgs&);
}  // namespace cpu
namespace reference {
void add(const AddArgs&);
void scale(const ScaleArgs&);
}  // namespace reference

void add(Stream& stream, const AddArgs& a) {
  BK_CHECK(a.y.count() == a.a.count() && a.y.count() == a.b.count(), "add: y is ", a.y.shape, ", a ", a.a.shape, ", b ",
           a.b.shape);
  OpScope scope(stream, "add");
  BK_DISPATCH_HOST(stream, add, a);
}

void scale(Stream& stream, const ScaleArgs& a) {
  BK_CHECK(a.y.count() == a.x.count(), "scale: y is ", a.y.shape, ", x ", a.x.shape);
  BK_CHECK(!a.factor.present() || a.factor.count() == 1, "scale: factor is ", a.factor.shape, ", expected one element");
  OpScope scope(stream, "scale");
  BK_DISPATCH_HOST(stream, scale, a);
}

}  // namespace birkhoff

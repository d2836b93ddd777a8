#include "kernels/hyper/streams.h"

#include "kernels/core/dispatch.h"
#include "kernels/hyper/check_shape.h"

namespace birkhoff {
namespace cpu {
void hyper_expand(const HyperExpandArgs&);
void hyper_collapse(const HyperCollapseArgs&);
}  // namespace cpu
namespace reference {
void hyper_expand(const HyperExpandArgs&);
void hyper_collapse(const HyperCollapseArgs&);
}  // namespace reference

void hyper_expand(Stream& stream, const HyperExpandArgs& a) {
  const Shape s = a.x.shape;
  BK_CHECK(s.rank() == 3, "hyper_expand: x is ", s, ", expected [T,S,C]");
  check_activation("hyper_expand", "h", a.h, {s[0], s[2]}, a.x.dtype);
  OpScope scope(stream, "hyper_expand");
  BK_DISPATCH_HOST(stream, hyper_expand, a);
}

void hyper_collapse(Stream& stream, const HyperCollapseArgs& a) {
  const Shape s = a.x.shape;
  BK_CHECK(s.rank() == 3, "hyper_collapse: x is ", s, ", expected [T,S,C]");
  check_activation("hyper_collapse", "h", a.h, {s[0], s[2]}, a.x.dtype);
  OpScope scope(stream, "hyper_collapse");
  BK_DISPATCH_HOST(stream, hyper_collapse, a);
}

}  // namespace birkhoff

#include "kernels/hyper/read.h"

#include "kernels/core/dispatch.h"
#include "kernels/hyper/check_shape.h"
#include "kernels/hyper/write_mix.h"

namespace birkhoff {
namespace cpu {
void hyper_read_forward(const HyperReadArgs&);
void hyper_read_backward(const HyperReadBackwardArgs&);
}  // namespace cpu
namespace reference {
void hyper_read_forward(const HyperReadArgs&);
void hyper_read_backward(const HyperReadBackwardArgs&);
}  // namespace reference

void hyper_read_forward(Stream& stream, const HyperReadArgs& a) {
  const Shape s = a.x.shape;
  BK_CHECK(s.rank() == 3, "hyper_read: x is ", s, ", expected [T,S,C]");
  BK_CHECK(s[1] >= 1 && s[1] <= kMaxStreams, "hyper_read: ", s[1], " streams, expected 1 to ", kMaxStreams);
  check_activation("hyper_read", "h", a.h, {s[0], s[2]}, a.x.dtype);
  check_shape("hyper_read", "pre", a.pre, {s[0], s[1]});
  OpScope scope(stream, "hyper_read");
  BK_DISPATCH_HOST(stream, hyper_read_forward, a);
}

void hyper_read_backward(Stream& stream, const HyperReadBackwardArgs& a) {
  const Shape s = a.x.shape;
  BK_CHECK(s.rank() == 3, "hyper_read: x is ", s, ", expected [T,S,C]");
  check_activation("hyper_read", "dx", a.dx, s, a.x.dtype);
  check_activation("hyper_read", "dh", a.dh, {s[0], s[2]}, a.x.dtype);
  check_shape("hyper_read", "dpre", a.dpre, {s[0], s[1]});
  check_shape("hyper_read", "pre", a.pre, {s[0], s[1]});
  OpScope scope(stream, "hyper_read_backward");
  BK_DISPATCH_HOST(stream, hyper_read_backward, a);
}

}  // namespace birkhoff

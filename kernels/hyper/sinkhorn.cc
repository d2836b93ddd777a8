#include "kernels/hyper/sinkhorn.h"

#include "kernels/core/dispatch.h"
#include "kernels/hyper/check_shape.h"

namespace birkhoff {
namespace cpu {
void sinkhorn_forward(const SinkhornArgs&);
void sinkhorn_backward(const SinkhornBackwardArgs&);
}  // namespace cpu
namespace reference {
void sinkhorn_forward(const SinkhornArgs&);
void sinkhorn_backward(const SinkhornBackwardArgs&);
}  // namespace reference
namespace {

Shape checked_shape(const Tensor& logits, const SinkhornOptions& options) {
  const Shape s = logits.shape;
  BK_CHECK(s.rank() == 3 && s[1] == s[2], "sinkhorn: logits are ", s, ", expected [T,S,S]");
  BK_CHECK(options.iterations >= 1, "sinkhorn: ", options.iterations, " iterations, at least 1 is needed");
  return s;
}

}  // namespace

void sinkhorn_forward(Stream& stream, const SinkhornArgs& a) {
  check_shape("sinkhorn", "comb", a.comb, checked_shape(a.logits, a.options));
  OpScope scope(stream, "sinkhorn");
  BK_DISPATCH_HOST(stream, sinkhorn_forward, a);
}

void sinkhorn_backward(Stream& stream, const SinkhornBackwardArgs& a) {
  const Shape shape = checked_shape(a.logits, a.options);
  check_shape("sinkhorn", "dcomb", a.dcomb, shape);
  check_shape("sinkhorn", "dlogits", a.dlogits, shape);
  OpScope scope(stream, "sinkhorn_backward");
  BK_DISPATCH_HOST(stream, sinkhorn_backward, a);
}

}  // namespace birkhoff

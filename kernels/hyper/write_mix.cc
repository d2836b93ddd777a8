#include "kernels/hyper/write_mix.h"

#include "kernels/core/dispatch.h"
#include "kernels/hyper/check_shape.h"

namespace birkhoff {
namespace cpu {
void hyper_write_mix_forward(const HyperWriteMixArgs&);
void hyper_write_mix_backward(const HyperWriteMixBackwardArgs&);
}  // namespace cpu
namespace reference {
void hyper_write_mix_forward(const HyperWriteMixArgs&);
void hyper_write_mix_backward(const HyperWriteMixBackwardArgs&);
}  // namespace reference
namespace cuda {
void hyper_write_mix_forward(Stream&, const HyperWriteMixArgs&);
void hyper_write_mix_backward(Stream&, const HyperWriteMixBackwardArgs&);
}  // namespace cuda
namespace {

constexpr const char* kOp = "hyper_write_mix";

void check_inputs(const Tensor& x, const Tensor& y, const Tensor& post, const Tensor& comb) {
  const Shape s = x.shape;
  BK_CHECK(s.rank() == 3, kOp, ": x is ", s, ", expected [T,S,C]");
  BK_CHECK(s[1] >= 1 && s[1] <= kMaxStreams, kOp, ": ", s[1], " streams, expected 1 to ", kMaxStreams);
  check_activation(kOp, "y", y, {s[0], s[2]}, x.dtype);
  check_shape(kOp, "post", post, {s[0], s[1]});
  check_shape(kOp, "comb", comb, {s[0], s[1], s[1]});
}

}  // namespace

void hyper_write_mix_forward(Stream& stream, const HyperWriteMixArgs& a) {
  check_inputs(a.x, a.y, a.post, a.comb);
  check_activation(kOp, "x_next", a.x_next, a.x.shape, a.x.dtype);
  OpScope scope(stream, "hyper_write_mix");
  BK_DISPATCH(stream, hyper_write_mix_forward, a);
}

void hyper_write_mix_backward(Stream& stream, const HyperWriteMixBackwardArgs& a) {
  check_inputs(a.x, a.y, a.post, a.comb);
  check_activation(kOp, "dx_next", a.dx_next, a.x.shape, a.x.dtype);
  check_activation(kOp, "dx", a.dx, a.x.shape, a.x.dtype);
  check_activation(kOp, "dy", a.dy, a.y.shape, a.x.dtype);
  check_shape(kOp, "dpost", a.dpost, a.post.shape);
  check_shape(kOp, "dcomb", a.dcomb, a.comb.shape);
  OpScope scope(stream, "hyper_write_mix_backward");
  BK_DISPATCH(stream, hyper_write_mix_backward, a);
}

}  // namespace birkhoff

#include "kernels/norm/rmsnorm.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void rmsnorm_forward(const RmsNormArgs&);
void rmsnorm_backward(const RmsNormBackwardArgs&);
}  // namespace cpu
namespace reference {
void rmsnorm_forward(const RmsNormArgs&);
void rmsnorm_backward(const RmsNormBackwardArgs&);
}  // namespace reference
namespace cuda {
void rmsnorm_forward(Stream&, const RmsNormArgs&);
void rmsnorm_backward(Stream&, const RmsNormBackwardArgs&);
}  // namespace cuda

void rmsnorm_forward(Stream& stream, const RmsNormArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  BK_CHECK(a.y.shape == a.x.shape && a.y.dtype == a.x.dtype, "rmsnorm: y is ", a.y.dtype, a.y.shape, ", x is ",
           a.x.dtype, a.x.shape);
  BK_CHECK(!a.gain.present() || a.gain.shape == Shape{C}, "rmsnorm: gain is ", a.gain.shape, ", expected [", C, "]");
  BK_CHECK(a.rstd.count() == T, "rmsnorm: rstd is ", a.rstd.shape, ", expected [", T, "]");
  OpScope scope(stream, "rmsnorm");
  BK_DISPATCH(stream, rmsnorm_forward, a);
}

void rmsnorm_backward(Stream& stream, const RmsNormBackwardArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  BK_CHECK(a.dx.shape == a.x.shape && a.dx.dtype == a.x.dtype, "rmsnorm: dx is ", a.dx.shape, ", x is ", a.x.shape);
  BK_CHECK(a.dy.shape == a.x.shape && a.dy.dtype == a.x.dtype, "rmsnorm: dy is ", a.dy.shape, ", x is ", a.x.shape);
  BK_CHECK(!a.gain.present() || (a.gain.shape == Shape{C} && a.dgain.shape == Shape{C}), "rmsnorm: gain is ",
           a.gain.shape, ", dgain is ", a.dgain.shape, ", expected [", C, "]");
  BK_CHECK(a.rstd.count() == T, "rmsnorm: rstd is ", a.rstd.shape, ", expected [", T, "]");
  OpScope scope(stream, "rmsnorm_backward");
  BK_DISPATCH(stream, rmsnorm_backward, a);
}

}  // namespace birkhoff

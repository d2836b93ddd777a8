#include "kernels/norm/layernorm.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void layernorm_forward(const LayerNormArgs&);
void layernorm_backward(const LayerNormBackwardArgs&);
}  // namespace cpu
namespace reference {
void layernorm_forward(const LayerNormArgs&);
void layernorm_backward(const LayerNormBackwardArgs&);
}  // namespace reference

void layernorm_forward(Stream& stream, const LayerNormArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  BK_CHECK(a.y.shape == a.x.shape && a.y.dtype == a.x.dtype, "layernorm: y is ", a.y.dtype, a.y.shape, ", x is ",
           a.x.dtype, a.x.shape);
  BK_CHECK(a.gain.shape == Shape{C} && a.bias.shape == Shape{C}, "layernorm: gain is ", a.gain.shape, ", bias is ",
           a.bias.shape, ", expected [", C, "]");
  BK_CHECK(a.mean.count() == T && a.rstd.count() == T, "layernorm: mean is ", a.mean.shape, ", rstd is ", a.rstd.shape,
           ", expected [", T, "]");
  OpScope scope(stream, "layernorm");
  BK_DISPATCH_HOST(stream, layernorm_forward, a);
}

void layernorm_backward(Stream& stream, const LayerNormBackwardArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  BK_CHECK(a.dx.shape == a.x.shape && a.dy.shape == a.x.shape && a.dx.dtype == a.x.dtype && a.dy.dtype == a.x.dtype,
           "layernorm: dx is ", a.dx.shape, ", dy is ", a.dy.shape, ", x is ", a.x.shape);
  BK_CHECK(a.gain.shape == Shape{C} && a.dgain.shape == Shape{C} && a.dbias.shape == Shape{C}, "layernorm: gain is ",
           a.gain.shape, ", dgain is ", a.dgain.shape, ", dbias is ", a.dbias.shape, ", expected [", C, "]");
  BK_CHECK(a.mean.count() == T && a.rstd.count() == T, "layernorm: mean is ", a.mean.shape, ", rstd is ", a.rstd.shape);
  OpScope scope(stream, "layernorm_backward");
  BK_DISPATCH_HOST(stream, layernorm_backward, a);
}

}  // namespace birkhoff

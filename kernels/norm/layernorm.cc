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

namespace {

void check_like(const char* name, Tensor t, Tensor x) {
  BK_CHECK(t.shape == x.shape && t.dtype == x.dtype, "layernorm: ", name, " is ", t.dtype, t.shape, ", x is ", x.dtype,
           x.shape);
}
void check_vector(const char* name, Tensor t, int64_t count) {
  BK_CHECK(t.count() == count, "layernorm: ", name, " is ", t.shape, ", expected [", count, "]");
}

}  // namespace

void layernorm_forward(Stream& stream, const LayerNormArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  check_like("y", a.y, a.x);
  check_vector("weight", a.weight, C);
  check_vector("bias", a.bias, C);
  check_vector("mean", a.mean, T);
  check_vector("rstd", a.rstd, T);
  OpScope scope(stream, "layernorm");
  BK_DISPATCH_HOST(stream, layernorm_forward, a);
}

void layernorm_backward(Stream& stream, const LayerNormBackwardArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  check_like("dx", a.dx, a.x);
  check_like("dy", a.dy, a.x);
  check_vector("weight", a.weight, C);
  check_vector("dweight", a.dweight, C);
  check_vector("dbias", a.dbias, C);
  check_vector("mean", a.mean, T);
  check_vector("rstd", a.rstd, T);
  OpScope scope(stream, "layernorm_backward");
  BK_DISPATCH_HOST(stream, layernorm_backward, a);
}

}  // namespace birkhoff

#include "kernels/attention/mla_heads.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void mla_heads_forward(const MlaHeadsArgs&);
void mla_heads_backward(const MlaHeadsBackwardArgs&);
}  // namespace cpu
namespace reference {
void mla_heads_forward(const MlaHeadsArgs&);
void mla_heads_backward(const MlaHeadsBackwardArgs&);
}  // namespace reference
namespace {

void check(const Tensor& k, const Tensor& v, const Tensor& kv, const Tensor& k_rope) {
  const bool ranks = k.shape.rank() == 3 && v.shape.rank() == 3 && kv.shape.rank() == 3 && k_rope.shape.rank() == 2;
  const int64_t T = k.shape[0], H = k.shape[1], R = ranks ? k_rope.shape[1] : 0, Dv = ranks ? v.shape[2] : 0;
  BK_CHECK(ranks && v.shape == (Shape{T, H, Dv}) && kv.shape == (Shape{T, H, k.shape[2] - R + Dv}) &&
               k_rope.shape[0] == T && v.dtype == k.dtype && kv.dtype == k.dtype && k_rope.dtype == k.dtype,
           "mla_heads: k is ", k.dtype, k.shape, ", v is ", v.dtype, v.shape, ", kv is ", kv.dtype, kv.shape,
           ", k_rope is ", k_rope.dtype, k_rope.shape);
}

}  // namespace

void mla_heads_forward(Stream& stream, const MlaHeadsArgs& a) {
  check(a.k, a.v, a.kv, a.k_rope);
  OpScope scope(stream, "mla_heads");
  BK_DISPATCH_HOST(stream, mla_heads_forward, a);
}

void mla_heads_backward(Stream& stream, const MlaHeadsBackwardArgs& a) {
  check(a.dk, a.dv, a.dkv, a.dk_rope);
  OpScope scope(stream, "mla_heads_backward");
  BK_DISPATCH_HOST(stream, mla_heads_backward, a);
}

}  // namespace birkhoff

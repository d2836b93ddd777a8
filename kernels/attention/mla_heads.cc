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

void check(Tensor k, Tensor v, Tensor kv, Tensor k_rope) {
  BK_CHECK(k.shape.rank() == 3 && v.shape.rank() == 3, "mla_heads: k is ", k.shape, ", v is ", v.shape,
           ", expected [T, H, N + R] and [T, H, V]");
  const int64_t T = k.shape[0], H = k.shape[1], R = k_rope.shape.back();
  BK_CHECK(v.shape[0] == T && v.shape[1] == H, "mla_heads: v is ", v.shape, ", k is ", k.shape);
  BK_CHECK(k_rope.count() == T * R && R <= k.shape[2], "mla_heads: k_rope is ", k_rope.shape, ", k is ", k.shape);
  BK_CHECK((kv.shape == Shape{T, H, k.shape[2] - R + v.shape[2]}), "mla_heads: kv is ", kv.shape, ", expected [", T,
           ", ", H, ", ", k.shape[2] - R + v.shape[2], "]");
  BK_CHECK(v.dtype == k.dtype && kv.dtype == k.dtype && k_rope.dtype == k.dtype, "mla_heads: v ", v.dtype, ", kv ",
           kv.dtype, ", k_rope ", k_rope.dtype, " beside k ", k.dtype);
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

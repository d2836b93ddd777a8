#include "kernels/attention/attention.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void attention_forward(const AttentionArgs&);
void attention_backward(const AttentionBackwardArgs&);
}  // namespace cpu
namespace reference {
void attention_forward(const AttentionArgs&);
void attention_backward(const AttentionBackwardArgs&);
}  // namespace reference
namespace {

void check(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& o, const Tensor& lse, const Tensor& start) {
  BK_CHECK(q.shape.rank() == 3 && k.shape.rank() == 3 && v.shape.rank() == 3, "attention: q is ", q.shape, ", k is ",
           k.shape, ", v is ", v.shape, ", expected [T, heads, width]");
  const int64_t T = q.shape[0], H = q.shape[1], G = k.shape[1];
  BK_CHECK(k.shape == (Shape{T, G, q.shape[2]}) && v.shape == (Shape{T, G, v.shape[2]}) && G > 0 && H % G == 0,
           "attention: q is ", q.shape, ", k is ", k.shape, ", v is ", v.shape);
  BK_CHECK(o.shape == (Shape{T, H, v.shape[2]}) && lse.count() == T * H && start.count() == T, "attention: o is ",
           o.shape, ", lse is ", lse.shape, ", document_start is ", start.shape, ", q is ", q.shape);
  BK_CHECK(q.dtype == k.dtype && q.dtype == v.dtype && q.dtype == o.dtype, "attention: q is ", q.dtype, ", k is ",
           k.dtype, ", v is ", v.dtype, ", o is ", o.dtype);
}

double forward_flops(const Tensor& q, const Tensor& v, int64_t max_length) {
  return 2.0 * static_cast<double>(q.shape[0] * q.shape[1] * (q.shape[2] + v.shape[2])) *
         static_cast<double>(max_length + 1) / 2;
}

}  // namespace

void attention_forward(Stream& stream, const AttentionArgs& a) {
  check(a.q, a.k, a.v, a.o, a.lse, a.document_start);
  OpScope scope(stream, "attention");
  stream.count_flops(forward_flops(a.q, a.v, a.max_length));
  BK_DISPATCH_HOST(stream, attention_forward, a);
}

void attention_backward(Stream& stream, const AttentionBackwardArgs& a) {
  check(a.q, a.k, a.v, a.o, a.lse, a.document_start);
  check(a.dq, a.dk, a.dv, a.d_o, a.lse, a.document_start);
  OpScope scope(stream, "attention_backward");
  stream.count_flops(2.5 * forward_flops(a.q, a.v, a.max_length));
  BK_DISPATCH_HOST(stream, attention_backward, a);
}

}  // namespace birkhoff

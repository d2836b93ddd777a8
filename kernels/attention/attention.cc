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

void check_like(const char* name, Tensor t, Tensor q, Shape shape) {
  BK_CHECK(t.shape == shape && t.dtype == q.dtype, "attention: ", name, " is ", t.dtype, t.shape, ", expected ",
           q.dtype, shape);
}

void check_inputs(Tensor q, Tensor k, Tensor v, Tensor o, Tensor lse, Tensor document_start) {
  BK_CHECK(q.shape.rank() == 3 && k.shape.rank() == 3 && v.shape.rank() == 3, "attention: q is ", q.shape, ", k is ",
           k.shape, ", v is ", v.shape, ", expected three dims each");
  const int64_t T = q.shape[0], H = q.shape[1], Hkv = k.shape[1], Dv = v.shape[2];
  BK_CHECK(Hkv > 0 && H % Hkv == 0, "attention: ", H, " query heads cannot share ", Hkv, " key heads");
  check_like("k", k, q, {T, Hkv, q.shape[2]});
  check_like("v", v, q, {T, Hkv, Dv});
  check_like("o", o, q, {T, H, Dv});
  BK_CHECK((lse.shape == Shape{T, H}), "attention: lse is ", lse.shape, ", expected [", T, ", ", H, "]");
  BK_CHECK(document_start.dtype == DType::i32 && document_start.count() == T, "attention: document_start is ",
           document_start.dtype, document_start.shape, ", expected i32 [", T, "]");
}

double flops(Tensor q, Tensor v, int64_t max_length) {
  const auto T = static_cast<double>(q.shape[0]);
  const double length = max_length > 0 ? static_cast<double>(max_length) : T;
  return 2.0 * static_cast<double>(q.shape[1] * (q.shape[2] + v.shape[2])) * T * (length + 1) / 2;
}

}  // namespace

void attention_forward(Stream& stream, const AttentionArgs& a) {
  check_inputs(a.q, a.k, a.v, a.o, a.lse, a.document_start);
  OpScope scope(stream, "attention");
  stream.count_flops(flops(a.q, a.v, a.max_length));
  BK_DISPATCH_HOST(stream, attention_forward, a);
}

void attention_backward(Stream& stream, const AttentionBackwardArgs& a) {
  check_inputs(a.q, a.k, a.v, a.o, a.lse, a.document_start);
  check_like("d_o", a.d_o, a.q, a.o.shape);
  check_like("dq", a.dq, a.q, a.q.shape);
  check_like("dk", a.dk, a.q, a.k.shape);
  check_like("dv", a.dv, a.q, a.v.shape);
  OpScope scope(stream, "attention_backward");
  stream.count_flops(2.5 * flops(a.q, a.v, a.max_length));
  BK_DISPATCH_HOST(stream, attention_backward, a);
}

}  // namespace birkhoff

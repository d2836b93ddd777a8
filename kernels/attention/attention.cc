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

template <class Args>
void check_inputs(const Args& a, Device device) {
  const Tensor &q = a.q, &k = a.k, &v = a.v, &lse = a.lse;
  BK_CHECK(q.shape.rank() == 3 && k.shape.rank() == 3 && v.shape.rank() == 3, "attention: q is ", q.shape, ", k is ",
           k.shape, ", v is ", v.shape, ", expected three dims each");
  const int64_t Tq = q.shape[0], Tk = k.shape[0], H = q.shape[1], Hkv = k.shape[1], Dv = v.shape[2];
  BK_CHECK(H > 0 && Hkv > 0 && H % Hkv == 0, "attention: ", H, " query heads cannot share ", Hkv, " key heads");
  check_like("k", k, q, {Tk, Hkv, q.shape[2]});
  check_like("v", v, q, {Tk, Hkv, Dv});
  check_like("o", a.o, q, {Tq, H, Dv});
  BK_CHECK(is_float(q.dtype), "attention: q is ", q.dtype, ", expected a floating dtype");
  const DType statistic = device.kind == DeviceKind::reference ? DType::f64 : DType::f32;
  BK_CHECK((lse.shape == Shape{Tq, H}) && (lse.dtype == statistic || device.kind == DeviceKind::meta),
           "attention: lse is ", lse.dtype, lse.shape, ", expected ", statistic, "[", Tq, ", ", H, "]");
  check_attention_mask(a.mask, Tq, Tk, device);
}

double flops(Tensor q, Tensor v, const AttentionMask& mask) {
  const auto queries = static_cast<double>(q.shape[0]);
  const auto length = static_cast<double>(mask.max_length > 0 ? mask.max_length : v.shape[0]);
  return 2.0 * static_cast<double>(q.shape[1] * (q.shape[2] + v.shape[2])) * queries * (length + 1) / 2;
}

}  // namespace

void attention_forward(Stream& stream, const AttentionArgs& a) {
  check_inputs(a, stream.device);
  OpScope scope(stream, "attention");
  stream.count_flops(flops(a.q, a.v, a.mask));
  BK_DISPATCH_HOST(stream, attention_forward, a);
}

void attention_backward(Stream& stream, const AttentionBackwardArgs& a) {
  check_inputs(a, stream.device);
  check_like("d_o", a.d_o, a.q, a.o.shape);
  check_like("dq", a.dq, a.q, a.q.shape);
  check_like("dk", a.dk, a.q, a.k.shape);
  check_like("dv", a.dv, a.q, a.v.shape);
  OpScope scope(stream, "attention_backward");
  stream.count_flops(2.5 * flops(a.q, a.v, a.mask));
  BK_DISPATCH_HOST(stream, attention_backward, a);
}

}  // namespace birkhoff

#include "kernels/hyper/hc_coefficients.h"

#include "kernels/core/dispatch.h"
#include "kernels/hyper/check_shape.h"
#include "kernels/hyper/write_mix.h"

namespace birkhoff {
namespace cpu {
void hc_coefficients_forward(const HcCoefficientsArgs&);
void hc_coefficients_backward(const HcCoefficientsBackwardArgs&);
}  // namespace cpu
namespace reference {
void hc_coefficients_forward(const HcCoefficientsArgs&);
void hc_coefficients_backward(const HcCoefficientsBackwardArgs&);
}  // namespace reference
namespace {

constexpr const char* kOp = "hc_coefficients";

double checked_flops(const Tensor& x, const Tensor& fn, const Tensor& scale, const Tensor& mixes, const Tensor& rstd) {
  BK_CHECK(x.shape.rank() == 3, kOp, ": x is ", x.shape, ", expected [T,S,C]");
  const int64_t T = x.shape[0], S = x.shape[1], C = x.shape[2];
  BK_CHECK(S >= 1 && S <= kMaxStreams, kOp, ": ", S, " streams, expected 1 to ", kMaxStreams);
  check_shape(kOp, "fn", fn, {S + 2, C});
  check_shape(kOp, "scale", scale, {2});
  check_shape(kOp, "mixes", mixes, {T, S, S + 2});
  check_shape(kOp, "rstd", rstd, {T, S});
  return 2.0 * static_cast<double>(x.count()) * static_cast<double>(S + 2);
}

}  // namespace

void hc_coefficients_forward(Stream& stream, const HcCoefficientsArgs& a) {
  const double flops = checked_flops(a.x, a.fn, a.scale, a.mixes, a.rstd);
  const int64_t T = a.x.shape[0], S = a.x.shape[1];
  check_shape(kOp, "base", a.base, {S * S + 2 * S});
  check_shape(kOp, "pre", a.pre, {T, S});
  check_shape(kOp, "post", a.post, {T, S});
  check_shape(kOp, "comb", a.comb, {T, S, S});
  OpScope scope(stream, "hc_coefficients");
  stream.count_flops(flops);
  BK_DISPATCH_HOST(stream, hc_coefficients_forward, a);
}

void hc_coefficients_backward(Stream& stream, const HcCoefficientsBackwardArgs& a) {
  const double flops = checked_flops(a.x, a.fn, a.scale, a.mixes, a.rstd);
  const int64_t T = a.x.shape[0], S = a.x.shape[1];
  check_activation(kOp, "dx", a.dx, a.x.shape, a.x.dtype);
  check_shape(kOp, "dfn", a.dfn, a.fn.shape);
  check_shape(kOp, "dbase", a.dbase, {S * S + 2 * S});
  check_shape(kOp, "dscale", a.dscale, a.scale.shape);
  check_shape(kOp, "dpre", a.dpre, {T, S});
  check_shape(kOp, "dpost", a.dpost, {T, S});
  check_shape(kOp, "dcomb", a.dcomb, {T, S, S});
  OpScope scope(stream, "hc_coefficients_backward");
  stream.count_flops(2 * flops);
  BK_DISPATCH_HOST(stream, hc_coefficients_backward, a);
}

}  // namespace birkhoff

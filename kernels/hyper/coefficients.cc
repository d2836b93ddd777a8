#include "kernels/hyper/coefficients.h"

#include "kernels/core/dispatch.h"
#include "kernels/hyper/check_shape.h"
#include "kernels/hyper/write_mix.h"

namespace birkhoff {
namespace cpu {
void hyper_coefficients_forward(const HyperCoefficientsArgs&);
void hyper_coefficients_backward(const HyperCoefficientsBackwardArgs&);
}  // namespace cpu
namespace reference {
void hyper_coefficients_forward(const HyperCoefficientsArgs&);
void hyper_coefficients_backward(const HyperCoefficientsBackwardArgs&);
}  // namespace reference
namespace {

constexpr const char* kOp = "hyper_coefficients";

struct Sizes {
  int64_t T, S, C, R;
  bool head;
};

Sizes checked_sizes(const Tensor& x, const Tensor& fn, const Tensor& base, const Tensor& scale, const Tensor& mixes,
                    const Tensor& rstd, const HyperOptions& options) {
  BK_CHECK(x.shape.rank() == 3, kOp, ": x is ", x.shape, ", expected [T,S,C]");
  const int64_t T = x.shape[0], S = x.shape[1], C = x.shape[2], R = fn.shape.rows();
  const bool head = R == S;
  BK_CHECK(S >= 1 && S <= kMaxStreams, kOp, ": ", S, " streams, expected 1 to ", kMaxStreams);
  BK_CHECK(head || R == S * S + 2 * S, kOp, ": fn has ", R, " rows, expected ", S * S + 2 * S, ", or ", S,
           " for the head");
  BK_CHECK(options.sinkhorn.iterations >= 1, kOp, ": ", options.sinkhorn.iterations,
           " iterations, at least 1 is needed");
  check_shape(kOp, "fn", fn, {R, S * C});
  check_shape(kOp, "base", base, {R});
  check_shape(kOp, "scale", scale, {head ? 1 : 3});
  check_shape(kOp, "mixes", mixes, {T, R});
  check_shape(kOp, "rstd", rstd, {T});
  return {T, S, C, R, head};
}

double flops(const Sizes& n) { return 2.0 * static_cast<double>(n.T * n.S) * static_cast<double>(n.R * n.C); }

}  // namespace

void hyper_coefficients_forward(Stream& stream, const HyperCoefficientsArgs& a) {
  const Sizes n = checked_sizes(a.x, a.fn, a.base, a.scale, a.mixes, a.rstd, a.options);
  check_shape(kOp, "pre", a.pre, {n.T, n.S});
  if (!n.head) {
    check_shape(kOp, "post", a.post, {n.T, n.S});
    check_shape(kOp, "comb", a.comb, {n.T, n.S, n.S});
  }
  if (a.h.present()) check_activation(kOp, "h", a.h, {n.T, n.C}, a.x.dtype);
  OpScope scope(stream, "hyper_coefficients");
  stream.count_flops(flops(n));
  BK_DISPATCH_HOST(stream, hyper_coefficients_forward, a);
}

void hyper_coefficients_backward(Stream& stream, const HyperCoefficientsBackwardArgs& a) {
  const Sizes n = checked_sizes(a.x, a.fn, a.base, a.scale, a.mixes, a.rstd, a.options);
  check_activation(kOp, "dx", a.dx, a.x.shape, a.x.dtype);
  check_shape(kOp, "dfn", a.dfn, a.fn.shape);
  check_shape(kOp, "dbase", a.dbase, a.base.shape);
  check_shape(kOp, "dscale", a.dscale, a.scale.shape);
  BK_CHECK(n.T == 0 || a.dpre.present() || a.dh.present(), kOp, ": the backward needs dpre or dh");
  if (a.dpre.present()) check_shape(kOp, "dpre", a.dpre, {n.T, n.S});
  if (a.dh.present()) check_activation(kOp, "dh", a.dh, {n.T, n.C}, a.x.dtype);
  if (!n.head) {
    check_shape(kOp, "dpost", a.dpost, {n.T, n.S});
    check_shape(kOp, "dcomb", a.dcomb, {n.T, n.S, n.S});
  }
  OpScope scope(stream, "hyper_coefficients_backward");
  stream.count_flops(2 * flops(n));
  BK_DISPATCH_HOST(stream, hyper_coefficients_backward, a);
}

}  // namespace birkhoff

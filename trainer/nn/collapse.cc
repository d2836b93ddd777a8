#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/random.h"
#include "kernels/hyper/read.h"
#include "kernels/hyper/streams.h"
#include "trainer/nn/hyper_connection.h"

namespace birkhoff {

void first_stream_weights(Stream& stream, Tensor pre_TS) {
  std::vector<double> weights(static_cast<size_t>(pre_TS.count()), 0.0);
  for (size_t i = 0; i < weights.size(); i += static_cast<size_t>(pre_TS.shape[1])) weights[i] = 1;
  from_doubles(stream, pre_TS, weights.data());
}

Collapse::Collapse(Build& build, const std::string& name, int64_t channels, const ResidualOptions& o)
    : type_(o.type),
      channels_(channels),
      streams_(o.num_streams()),
      hyper_(hyper_options(build, o)),
      slot_(build.slot<Saved>()) {
  if (type_ != ResidualType::mhc) return;
  build.set_part(Part::hyper_connections);
  fn_ = build.parameter(name + ".fn", {streams_, streams_ * channels}, Role::matrix, Init::normal(o.phi_std));
  base_ = build.parameter(name + ".base", {streams_}, Role::gate, Init::constant(0));
  scale_ = build.parameter(name + ".scale", {1}, Role::gate, Init::constant(o.alpha_init));
}

Tensor Collapse::forward(Frame& f, State in) {
  const int64_t T = in.x.shape[0];
  if (type_ == ResidualType::plain) return in.x.view({T, channels_});
  Saved& s = f.saved(slot_);
  s.x = in.x;
  const Tensor h = f.take(in.x.dtype, {T, channels_});
  if (type_ == ResidualType::hc) {
    hyper_collapse(f.stream, {h, in.x});
  } else if (type_ == ResidualType::mhc_single_pass) {
    s.pre = in.pre;
    hyper_read_forward(f.stream, {h, in.x, s.pre});
  } else {
    s.pre = f.take_statistic({T, streams_});
    s.mixes = f.take_statistic({T, streams_});
    s.rstd = f.take_statistic({T});
    hyper_coefficients_forward(f.stream, {.mixes = s.mixes,
                                          .rstd = s.rstd,
                                          .pre = s.pre,
                                          .post = {},
                                          .comb = {},
                                          .h = h,
                                          .x = in.x,
                                          .fn = fn_.value,
                                          .base = base_.value,
                                          .scale = scale_.value,
                                          .options = hyper_});
  }
  return h;
}

State Collapse::backward_input(Frame& f, Tensor dh) {
  const int64_t T = dh.shape[0];
  if (type_ == ResidualType::plain) return {dh.view({T, 1, channels_}), {}};
  const Saved& s = f.saved(slot_);
  const Tensor dx = f.take_gradient(dh.dtype, {T, streams_, channels_});
  if (type_ == ResidualType::hc) {
    hyper_expand(f.stream, {dx, dh});  // the transpose of the sum
    return {dx, {}};
  }
  fill_zero(f.stream, dx);  // the backward of read and coefficients adds to dx
  if (type_ == ResidualType::mhc_single_pass) {
    const Tensor dpre = f.take_statistic_gradient(s.pre.shape);
    hyper_read_backward(f.stream, {dx, dpre, dh, s.x, s.pre});
    return {dx, dpre};
  }
  hyper_coefficients_backward(f.stream, {.dx = dx,
                                         .dfn = fn_.grad,
                                         .dbase = base_.grad,
                                         .dscale = scale_.grad,
                                         .dpre = {},
                                         .dpost = {},
                                         .dcomb = {},
                                         .dh = dh,
                                         .x = s.x,
                                         .fn = fn_.value,
                                         .base = base_.value,
                                         .scale = scale_.value,
                                         .mixes = s.mixes,
                                         .rstd = s.rstd,
                                         .options = hyper_});
  return {dx, {}};
}

void Collapse::visit(ModuleVisitor& v) {
  if (type_ != ResidualType::mhc) return;
  for (Parameter* p : {&fn_, &base_, &scale_}) v.parameter(*p);
}

}  // namespace birkhoff

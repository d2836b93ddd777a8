#include "trainer/nn/hyper_connection.h"

#include "kernels/core/copy.h"
#include "kernels/hyper/hc_coefficients.h"
#include "kernels/hyper/read.h"
#include "kernels/hyper/write_mix.h"

namespace birkhoff {
namespace {

HyperOptions hyper_options(const ResidualOptions& o) {
  return {{o.sinkhorn_iterations, o.eps}, o.norm_eps, o.post_factor};
}

}  // namespace

HyperConnectionBase::HyperConnectionBase(Build& build, const std::string& name, int64_t channels,
                                         const ResidualOptions& options, std::unique_ptr<Module> inner)
    : name_(name),
      channels_(channels),
      streams_(options.streams),
      recompute_(options.recompute_streams),
      activation_(build.precision.activation()),
      norm_(build, name + ".norm", channels),
      inner_(std::move(inner)),
      slot_(build.slot<HyperSaved>()) {}

void HyperConnectionBase::take_saved(Frame& f, HyperSaved& s, Tensor x) {
  const int64_t T = x.shape[0], S = streams_;
  s.x = x;
  s.pre = f.take_statistic({T, S});
  s.post = f.take_statistic({T, S});
  const bool observed = f.keep_combs && !f.replaying;
  s.comb = observed ? f.observed.take(Precision::statistic(), {T, S, S}) : f.take_statistic({T, S, S});
  s.h = stream_arena(f).take(activation_, {T, channels_});
}

Tensor HyperConnectionBase::run_sublayer(Frame& f, HyperSaved& s) {
  s.normed = stream_arena(f).take(activation_, s.h.shape);
  norm_.forward_to(f, s.normed, s.h);
  if (f.probe) {
    for (const Tensor& t : {s.pre, s.post, s.comb}) f.probe("the mixing coefficients of " + name_, t);
    f.probe("the output of " + name_ + ".norm", s.normed);
  }
  s.y = inner_->forward(f, s.normed);
  if (f.probe) f.probe("the output of " + name_, s.y);
  const Tensor x_next = stream_arena(f).take(activation_, s.x.shape);
  hyper_write_mix_forward(f.stream, {x_next, s.x, s.y, s.post, s.comb});
  return x_next;
}

// Takes memory in the order of the forward, so every tensor stands where the sublayer expects it.
State HyperConnectionBase::replay(Frame& f, State in) {
  const HyperSaved& s = f.saved(slot_);
  const Tensor h = stream_arena(f).take(activation_, s.h.shape);
  BK_ASSERT(h.data == s.h.data && in.x.data == s.x.data, "replay moved an activation");
  hyper_read_forward(f.stream, {h, in.x, s.pre_used});
  const Tensor normed = stream_arena(f).take(activation_, s.h.shape);
  norm_.forward_to(f, normed, h);
  const Tensor x_next = stream_arena(f).take(activation_, s.x.shape);
  hyper_write_mix_forward(f.stream, {x_next, in.x, s.y, s.post, s.comb});
  return {x_next, {}};
}

Tensor HyperConnectionBase::backward_sublayer(Frame& f, const HyperSaved& s, Tensor dx_next, Tensor dx, Tensor dpost,
                                              Tensor dcomb) {
  const Tensor dy = f.take_gradient(activation_, s.y.shape);
  hyper_write_mix_backward(f.stream, {dx, dy, dpost, dcomb, dx_next, s.x, s.y, s.post, s.comb});
  return norm_.backward_input(f, inner_->backward_input(f, dy));
}

HyperConnection::HyperConnection(Build& build, const std::string& name, int64_t channels,
                                 const ResidualOptions& options, std::unique_ptr<Module> inner)
    : HyperConnectionBase(build, name, channels, options, std::move(inner)),
      single_pass_(options.kind == ResidualKind::mhc_single_pass),
      hyper_(hyper_options(options)) {
  const int64_t S = options.streams, R = S * S + 2 * S;
  fn_ = {name + ".fn", {R, S * channels}, Role::matrix, Init::normal(options.fn_std), {}, {}, 0};
  const double diagonal = options.diagonal_init;
  auto base = [S, diagonal](int64_t i) { return i >= 2 * S && (i - 2 * S) % (S + 1) == 0 ? diagonal : 0.0; };
  base_ = {name + ".base", {R}, Role::gate, Init::table(base), {}, {}, 0};
  scale_ = {name + ".scale", {3}, Role::gate, Init::constant(options.alpha_init), {}, {}, 0};
}

State HyperConnection::forward(Frame& f, State in) {
  HyperSaved& s = f.saved(slot_);
  const int64_t T = in.x.shape[0];
  take_saved(f, s, in.x);
  s.mixes = f.take_statistic({T, fn_.shape[0]});
  s.rstd = f.take_statistic({T});
  s.pre_used = single_pass_ ? in.pre : s.pre;
  hyper_coefficients_forward(f.stream, {s.mixes, s.rstd, s.pre, s.post, s.comb, single_pass_ ? Tensor{} : s.h, in.x,
                                        fn_.value, base_.value, scale_.value, hyper_});
  if (single_pass_) hyper_read_forward(f.stream, {s.h, in.x, s.pre_used});
  const Tensor x_next = run_sublayer(f, s);
  return {x_next, single_pass_ ? s.pre : Tensor{}};
}

State HyperConnection::backward_input(Frame& f, State d) {
  const HyperSaved& s = f.saved(slot_);
  const Tensor dx = f.take_gradient(activation_, s.x.shape);
  const Tensor dpost = f.take_statistic_gradient(s.post.shape), dcomb = f.take_statistic_gradient(s.comb.shape);
  const Tensor dh = backward_sublayer(f, s, d.x, dx, dpost, dcomb);
  Tensor dpre_used;
  if (single_pass_) {
    dpre_used = f.take_statistic_gradient(s.pre.shape);
    hyper_read_backward(f.stream, {dx, dpre_used, dh, s.x, s.pre_used});
  }
  hyper_coefficients_backward(
      f.stream, {dx, fn_.grad, base_.grad, scale_.grad, d.pre, dpost, dcomb, single_pass_ ? Tensor{} : dh, s.x,
                 fn_.value, base_.value, scale_.value, s.mixes, s.rstd, hyper_});
  return {dx, dpre_used};
}

void HyperConnection::visit(ModuleVisitor& v) {
  for (Parameter* p : {&fn_, &base_, &scale_}) v.parameter(*p);
  norm_.visit(v);
  inner_->visit(v);
}

UnconstrainedHyperConnection::UnconstrainedHyperConnection(Build& build, const std::string& name, int64_t channels,
                                                           int64_t site, const ResidualOptions& options,
                                                           std::unique_ptr<Module> inner)
    : HyperConnectionBase(build, name, channels, options, std::move(inner)), norm_eps_(options.norm_eps) {
  const int64_t S = options.streams;
  // Reads one stream in turn, writes all, keeps the streams apart.
  auto start = [S, site](int64_t i) {
    if (i < S) return i == site % S ? 1.0 : 0.0;
    if (i < 2 * S) return 1.0;
    return (i - 2 * S) / S == (i - 2 * S) % S ? 1.0 : 0.0;
  };
  fn_ = {name + ".fn", {S + 2, channels}, Role::matrix, Init::constant(0), {}, {}, 0};
  base_ = {name + ".base", {S * S + 2 * S}, Role::gate, Init::table(start), {}, {}, 0};
  scale_ = {name + ".scale", {2}, Role::gate, Init::constant(options.alpha_init), {}, {}, 0};
}

State UnconstrainedHyperConnection::forward(Frame& f, State in) {
  HyperSaved& s = f.saved(slot_);
  const int64_t T = in.x.shape[0], S = streams_;
  take_saved(f, s, in.x);
  s.mixes = f.take_statistic({T, S, S + 2});
  s.rstd = f.take_statistic({T, S});
  s.pre_used = s.pre;
  hc_coefficients_forward(
      f.stream, {s.mixes, s.rstd, s.pre, s.post, s.comb, in.x, fn_.value, base_.value, scale_.value, norm_eps_});
  hyper_read_forward(f.stream, {s.h, in.x, s.pre});
  return {run_sublayer(f, s), {}};
}

State UnconstrainedHyperConnection::backward_input(Frame& f, State d) {
  const HyperSaved& s = f.saved(slot_);
  const Tensor dx = f.take_gradient(activation_, s.x.shape);
  const Tensor dpost = f.take_statistic_gradient(s.post.shape), dcomb = f.take_statistic_gradient(s.comb.shape);
  const Tensor dpre = f.take_statistic_gradient(s.pre.shape);
  const Tensor dh = backward_sublayer(f, s, d.x, dx, dpost, dcomb);
  hyper_read_backward(f.stream, {dx, dpre, dh, s.x, s.pre});
  hc_coefficients_backward(f.stream, {dx, fn_.grad, base_.grad, scale_.grad, dpre, dpost, dcomb, s.x, fn_.value,
                                      scale_.value, s.mixes, s.rstd});
  return {dx, {}};
}

void UnconstrainedHyperConnection::visit(ModuleVisitor& v) {
  for (Parameter* p : {&fn_, &base_, &scale_}) v.parameter(*p);
  norm_.visit(v);
  inner_->visit(v);
}

}  // namespace birkhoff

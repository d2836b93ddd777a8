#include "trainer/nn/coefficients.h"

#include "kernels/hyper/coefficients.h"
#include "kernels/hyper/hc_coefficients.h"
#include "kernels/hyper/read.h"
#include "trainer/nn/residual.h"

namespace birkhoff {
namespace {

// The coefficients of mhc and mhc_single_pass.
class ConstrainedCoefficients final : public Coefficients {
 public:
  ConstrainedCoefficients(Build& build, const std::string& name, int64_t channels, const ResidualOptions& o)
      : single_pass_(o.type == ResidualType::mhc_single_pass), options_(hyper_options(build, o)) {
    const int64_t S = o.num_streams(), R = S * S + 2 * S;
    // Rows of fn and base: pre | post | comb. Only the diagonal of comb starts with a logit other than 0.
    const double diagonal = o.mix_diagonal_init;
    auto base = [S, diagonal](int64_t i) { return i >= 2 * S && (i - 2 * S) % (S + 1) == 0 ? diagonal : 0.0; };
    fn_ = build.parameter(name + ".fn", {R, S * channels}, Role::matrix, Init::normal(o.phi_std));
    base_ = build.parameter(name + ".base", {R}, Role::gate, Init::table(base));
    scale_ = build.parameter(name + ".scale", {3}, Role::gate, Init::constant(o.alpha_init));
  }

  Tensor forward(Frame& f, HyperSaved& s, Tensor pre_in) override {
    const int64_t T = s.x.shape[0];
    s.mixes = f.take_statistic({T, fn_.shape[0]});
    s.rstd = f.take_statistic({T});
    s.pre_used = single_pass_ ? pre_in : s.pre;
    // The kernel can also read h with the pre that it computes. The single-pass form must not use this, because there
    // that pre is for the next site.
    hyper_coefficients_forward(f.stream, {.mixes = s.mixes,
                                          .rstd = s.rstd,
                                          .pre = s.pre,
                                          .post = s.post,
                                          .comb = s.comb,
                                          .h = single_pass_ ? Tensor{} : s.h,
                                          .x = s.x,
                                          .fn = fn_.value,
                                          .base = base_.value,
                                          .scale = scale_.value,
                                          .options = options_});
    if (single_pass_) hyper_read_forward(f.stream, {s.h, s.x, s.pre_used});
    return single_pass_ ? s.pre : Tensor{};
  }

  Tensor backward(Frame& f, const HyperSaved& s, const Gradients& d) override {
    Tensor dpre_used;
    if (single_pass_) {
      dpre_used = f.take_statistic_gradient(s.pre.shape);
      hyper_read_backward(f.stream, {d.dx, dpre_used, d.dh, s.x, s.pre_used});
    }
    hyper_coefficients_backward(f.stream, {.dx = d.dx,
                                           .dfn = fn_.grad,
                                           .dbase = base_.grad,
                                           .dscale = scale_.grad,
                                           .dpre = d.dpre_next,
                                           .dpost = d.dpost,
                                           .dcomb = d.dcomb,
                                           .dh = single_pass_ ? Tensor{} : d.dh,
                                           .x = s.x,
                                           .fn = fn_.value,
                                           .base = base_.value,
                                           .scale = scale_.value,
                                           .mixes = s.mixes,
                                           .rstd = s.rstd,
                                           .options = options_});
    return dpre_used;
  }

  void visit(ModuleVisitor& v) override {
    for (Parameter* p : {&fn_, &base_, &scale_}) v.parameter(*p);
  }

 private:
  bool single_pass_;
  HyperOptions options_;
  Parameter fn_, base_, scale_;
};

// The coefficients of hc.
class UnconstrainedCoefficients final : public Coefficients {
 public:
  UnconstrainedCoefficients(Build& build, const std::string& name, int64_t channels, int64_t site,
                            const ResidualOptions& o)
      : streams_(o.num_streams()), norm_eps_(build.norm.eps) {
    const int64_t S = o.num_streams();
    // The initial static coefficients: pre selects stream site % S, post writes to all streams, and comb is the
    // identity.
    auto start = [S, site](int64_t i) {
      if (i < S) return i == site % S ? 1.0 : 0.0;
      if (i < 2 * S) return 1.0;
      return (i - 2 * S) / S == (i - 2 * S) % S ? 1.0 : 0.0;
    };
    fn_ = build.parameter(name + ".fn", {S + 2, channels}, Role::matrix, Init::constant(0));
    base_ = build.parameter(name + ".base", {S * S + 2 * S}, Role::gate, Init::table(start));
    scale_ = build.parameter(name + ".scale", {2}, Role::gate, Init::constant(o.alpha_init));
  }

  Tensor forward(Frame& f, HyperSaved& s, Tensor) override {
    const int64_t T = s.x.shape[0], S = streams_;
    s.mixes = f.take_statistic({T, S, S + 2});
    s.rstd = f.take_statistic({T, S});
    s.pre_used = s.pre;
    hc_coefficients_forward(f.stream, {.mixes = s.mixes,
                                       .rstd = s.rstd,
                                       .pre = s.pre,
                                       .post = s.post,
                                       .comb = s.comb,
                                       .x = s.x,
                                       .fn = fn_.value,
                                       .base = base_.value,
                                       .scale = scale_.value,
                                       .norm_eps = norm_eps_});
    hyper_read_forward(f.stream, {s.h, s.x, s.pre});
    return {};
  }

  Tensor backward(Frame& f, const HyperSaved& s, const Gradients& d) override {
    const Tensor dpre = f.take_statistic_gradient(s.pre.shape);
    hyper_read_backward(f.stream, {d.dx, dpre, d.dh, s.x, s.pre});
    hc_coefficients_backward(f.stream, {.dx = d.dx,
                                        .dfn = fn_.grad,
                                        .dbase = base_.grad,
                                        .dscale = scale_.grad,
                                        .dpre = dpre,
                                        .dpost = d.dpost,
                                        .dcomb = d.dcomb,
                                        .x = s.x,
                                        .fn = fn_.value,
                                        .scale = scale_.value,
                                        .mixes = s.mixes,
                                        .rstd = s.rstd});
    return {};
  }

  void visit(ModuleVisitor& v) override {
    for (Parameter* p : {&fn_, &base_, &scale_}) v.parameter(*p);
  }

 private:
  int64_t streams_;
  double norm_eps_;
  Parameter fn_, base_, scale_;
};

}  // namespace

HyperOptions hyper_options(const Build& build, const ResidualOptions& o) {
  return {.sinkhorn = {static_cast<int>(o.sinkhorn_iterations), o.eps},
          .norm_eps = build.norm.eps,
          .post_multiplier = o.post_factor};
}

std::unique_ptr<Coefficients> make_coefficients(Build& build, const std::string& name, int64_t channels, int64_t site,
                                                const ResidualOptions& options) {
  build.set_part(Part::hyper_connections);
  if (options.type == ResidualType::hc) {
    return std::make_unique<UnconstrainedCoefficients>(build, name, channels, site, options);
  }
  return std::make_unique<ConstrainedCoefficients>(build, name, channels, options);
}

}  // namespace birkhoff

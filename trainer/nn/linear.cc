#include "trainer/nn/linear.h"

#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/bias.h"

namespace birkhoff {

Linear::Linear(Build& build, const std::string& name, int64_t out, int64_t in, const Options& options)
    : options_(options),
      activation_(build.precision.activation()),
      output_(options.output_f32 ? Precision::statistic() : activation_),
      weight_(build.matrix(name + ".weight", out, in, options.init_scale)),
      exchange_(build),
      slot_(build.slot<Saved>()) {
  if (options.bias) bias_ = build.parameter(name + ".bias", {out}, Role::bias, Init::constant(0));
  divide();
  const Shape held = build.held_shape(weight_);
  out_ = held[0];
  in_ = held[1];
  if (held.count() > 0) gemms_ = build.precision.linear(out_, in_, options.role);
}

// If the outputs are divided, the bias is divided in the same way. If the inputs are divided, every rank holds the
// whole bias and adds it to its own tokens only, after the partial sums of the ranks have been added up.
void Linear::divide() {
  weight_.division.blocks = options_.outputs;
  bias_.division.blocks = options_.outputs;
  if (options_.divided == Divided::none) return;
  const bool outputs = options_.divided == Divided::outputs;
  weight_.division.cuts = {{outputs ? 0 : 1, Axis::tp, options_.unit}};
  if (!outputs) return;
  bias_.division.cuts = weight_.division.cuts;
}

Tensor Linear::forward_summed(Frame& f, Tensor x_TI) {
  const int64_t T = x_TI.count() / in_;
  const Tensor y_TO = f.take(output_, {T / exchange_.size(), out_});
  {
    const ArenaScope scope(f.gradient_arena());
    const Tensor partial = f.take_gradient(exchange_.partial(), {T, out_});
    const bool too_early = options_.bias && BK_DEFECT("D6 row-parallel bias added by every rank");
    gemms_->forward(f.stream, partial, x_TI, {weight_.value, weight_.version, too_early ? bias_.value : Tensor{}});
    exchange_.sum_to(f, y_TO, partial);
    if (too_early) return y_TO;
  }
  if (options_.bias) add_bias(f.stream, {y_TO, bias_.value});
  return y_TO;
}

Tensor Linear::forward(Frame& f, Tensor x_TI) {
  f.saved(slot_).x = x_TI;
  if (sums_inputs()) return forward_summed(f, x_TI);
  const int64_t T = x_TI.count() / in_;  // x may have more than two dims
  const Tensor y_TO = f.take(output_, {T, out_});
  gemms_->forward(f.stream, y_TO, x_TI, {weight_.value, weight_.version, options_.bias ? bias_.value : Tensor{}});
  return y_TO;
}

Tensor Linear::backward_input(Frame& f, Tensor dy_TO) {
  Saved& s = f.saved(slot_);
  s.own_dy = dy_TO;
  s.dy = sums_inputs() ? exchange_.gather_gradient(f, dy_TO) : dy_TO;
  const int64_t T = s.dy.count() / out_;
  const Tensor dx_TI =
      f.take_gradient(options_.divided == Divided::outputs ? exchange_.partial() : activation_, {T, in_});
  gemms_->backward_input(f.stream, dx_TI, s.dy, {weight_.value, weight_.version});
  return dx_TI;
}

void Linear::backward_weight(Frame& f) {
  const Saved& s = f.saved(slot_);
  gemms_->backward_weight(f.stream, weight_.grad, s.dy, s.x);
  if (options_.bias) bias_gradient(f.stream, {bias_.grad, s.own_dy});
}

void Linear::visit(ModuleVisitor& visitor) {
  visitor.parameter(weight_);
  if (options_.bias) visitor.parameter(bias_);
  if (gemms_) visitor.working_copies(gemms_->bytes());
}

}  // namespace birkhoff

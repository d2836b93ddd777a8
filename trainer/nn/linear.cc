#include "trainer/nn/linear.h"

#include "kernels/elementwise/bias.h"

namespace birkhoff {

Linear::Linear(Build& build, const std::string& name, int64_t out, int64_t in, const Options& options)
    : out_(out),
      in_(in),
      options_(options),
      activation_(build.precision.activation()),
      output_(options.output_f32 ? Precision::statistic() : activation_),
      weight_(build.matrix(name + ".weight", out, in, options.init_scale)),
      gemms_(build.precision.linear(out, in, options.role)),
      slot_(build.slot<Saved>()) {
  if (options.bias) bias_ = build.parameter(name + ".bias", {out}, Role::bias, Init::constant(0));
  divide();
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

Tensor Linear::forward(Frame& f, Tensor x_TI) {
  const int64_t T = x_TI.count() / in_;  // x may have more than two dims
  const Tensor y_TO = f.take(output_, {T, out_});
  gemms_->forward(f.stream, y_TO, x_TI, {weight_.value, weight_.version, options_.bias ? bias_.value : Tensor{}});
  f.saved(slot_).x = x_TI;
  return y_TO;
}

Tensor Linear::backward_input(Frame& f, Tensor dy_TO) {
  f.saved(slot_).dy = dy_TO;
  const int64_t T = dy_TO.count() / out_;
  const Tensor dx_TI = f.take_gradient(activation_, {T, in_});
  gemms_->backward_input(f.stream, dx_TI, dy_TO, {weight_.value, weight_.version});
  return dx_TI;
}

void Linear::backward_weight(Frame& f) {
  const Saved& s = f.saved(slot_);
  gemms_->backward_weight(f.stream, weight_.grad, s.dy, s.x);
  if (options_.bias) bias_gradient(f.stream, {bias_.grad, s.dy});
}

void Linear::visit(ModuleVisitor& visitor) {
  visitor.parameter(weight_);
  if (options_.bias) visitor.parameter(bias_);
  visitor.working_copies(gemms_->bytes());
}

}  // namespace birkhoff

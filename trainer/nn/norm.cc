#include "trainer/nn/norm.h"

#include "kernels/norm/layernorm.h"
#include "kernels/norm/rmsnorm.h"

namespace birkhoff {

Norm::Norm(Build& build, const std::string& name, int64_t channels)
    : type_(build.norm.type), eps_(build.norm.eps), slot_(build.slot<Saved>()) {
  gain_ = build.parameter(name + ".weight", {channels}, Role::gain, Init::constant(1));
  if (type_ == NormType::layernorm) bias_ = build.parameter(name + ".bias", {channels}, Role::bias, Init::constant(0));
}

Tensor Norm::forward(Frame& f, Tensor x) {
  const Tensor y = f.take(x.dtype, x.shape);
  forward_to(f, y, x);
  return y;
}

void Norm::forward_to(Frame& f, Tensor y, Tensor x) {
  Saved& s = f.saved(slot_);
  s.x = x;
  // A stream replay reuses the memory of the forward's statistics, which backward will read, and writes the same values
  // again. In any other mode a tensor in the slot may belong to an earlier microbatch.
  if (!s.rstd.present() || f.mode != Frame::Mode::stream_replay) s.rstd = f.take_statistic({x.shape.rows()});
  if (type_ == NormType::rmsnorm) {
    rmsnorm_forward(f.stream, {y, s.rstd, x, gain_.value, eps_});
    return;
  }
  if (!s.mean.present() || f.mode != Frame::Mode::stream_replay) s.mean = f.take_statistic({x.shape.rows()});
  layernorm_forward(
      f.stream,
      {.y = y, .mean = s.mean, .rstd = s.rstd, .x = x, .weight = gain_.value, .bias = bias_.value, .eps = eps_});
}

Tensor Norm::backward_input(Frame& f, Tensor dy) {
  const Saved& s = f.saved(slot_);
  const Tensor dx = f.take_gradient(dy.dtype, s.x.shape);
  if (type_ == NormType::rmsnorm) {
    rmsnorm_backward(
        f.stream,
        {.dx = dx, .dgain = gain_.grad, .dy = dy.view(s.x.shape), .x = s.x, .gain = gain_.value, .rstd = s.rstd});
  } else {
    layernorm_backward(f.stream, {.dx = dx,
                                  .dweight = gain_.grad,
                                  .dbias = bias_.grad,
                                  .dy = dy.view(s.x.shape),
                                  .x = s.x,
                                  .weight = gain_.value,
                                  .mean = s.mean,
                                  .rstd = s.rstd});
  }
  return dx;
}

void Norm::visit(ModuleVisitor& v) {
  v.parameter(gain_);
  if (type_ == NormType::layernorm) v.parameter(bias_);
}

}  // namespace birkhoff

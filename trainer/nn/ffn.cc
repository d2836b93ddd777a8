#include "trainer/nn/ffn.h"

#include "kernels/activation/gelu.h"
#include "kernels/activation/swiglu.h"

namespace birkhoff {
namespace {

Blocks blocks_of_up(const FfnOptions& o) {
  return o.activation == Activation::swiglu ? Blocks{0, 1, {o.size, o.size}} : Blocks{};
}

}  // namespace

Ffn::Ffn(Build& build, const std::string& name, int64_t channels, const FfnOptions& o)
    : options_(o),
      activation_(build.precision.activation()),
      exchange_(build),
      up_(build, name + ".up", o.activation == Activation::swiglu ? 2 * o.size : o.size, channels,
          Linear::Options{.bias = o.bias, .divided = Linear::Divided::outputs, .outputs = blocks_of_up(o)}),
      down_(build, name + ".down", channels, o.size,
            Linear::Options{.bias = o.bias, .init_scale = build.init.output_scale, .divided = Linear::Divided::inputs}),
      slot_(build.slot<Saved>()) {}

TokenExchange::Started Ffn::start(Frame& f, Tensor x_TC) {
  const DividedLayer divided(f);
  return exchange_.start_gather(f, x_TC);
}

Tensor Ffn::forward(Frame& f, TokenExchange::Started gathered) {
  const DividedLayer divided(f);
  const Tensor up = up_.forward(f, gathered.wait(f));
  f.saved(slot_).up = up;
  const int64_t per_inner = options_.activation == Activation::swiglu ? 2 : 1;
  const Tensor inner = f.take(activation_, {up.shape[0], up.shape[1] / per_inner});
  if (options_.activation == Activation::swiglu) {
    swiglu_forward(f.stream, {inner, up, {}, options_.clamp});
  } else {
    gelu_forward(f.stream, {inner, up});
  }
  return down_.forward(f, inner);
}

TokenExchange::Started Ffn::start_backward_input(Frame& f, Tensor dy_TC) {
  const Tensor up = f.saved(slot_).up, dinner = down_.backward_input(f, dy_TC);
  const Tensor dup = f.take_gradient(activation_, up.shape);
  if (options_.activation == Activation::swiglu) {
    swiglu_backward(f.stream,
                    {.dx = dup, .drow_scale = {}, .dy = dinner, .x = up, .row_scale = {}, .clamp = options_.clamp});
  } else {
    gelu_backward(f.stream, {dup, dinner, up});
  }
  return exchange_.start_sum_gradient(f, up_.backward_input(f, dup));
}

void Ffn::backward_weight(Frame& f) {
  down_.backward_weight(f);
  up_.backward_weight(f);
}

void Ffn::visit(ModuleVisitor& v) {
  up_.visit(v);
  down_.visit(v);
}

}  // namespace birkhoff

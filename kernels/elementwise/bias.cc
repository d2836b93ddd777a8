#include "kernels/elementwise/bias.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void add_bias(const AddBiasArgs&);
void bias_gradient(const BiasGradientArgs&);
}  // namespace cpu
namespace reference {
void add_bias(const AddBiasArgs&);
void bias_gradient(const BiasGradientArgs&);
}  // namespace reference

void add_bias(Stream& stream, const AddBiasArgs& a) {
  BK_CHECK(a.bias.shape == Shape{a.y.shape.back()}, "add_bias: bias is ", a.bias.shape, ", y is ", a.y.shape);
  OpScope scope(stream, "bias");
  BK_DISPATCH_HOST(stream, add_bias, a);
}

void bias_gradient(Stream& stream, const BiasGradientArgs& a) {
  BK_CHECK(a.dbias.shape == Shape{a.dy.shape.back()}, "bias_gradient: dbias is ", a.dbias.shape, ", dy is ",
           a.dy.shape);
  OpScope scope(stream, "bias");
  BK_DISPATCH_HOST(stream, bias_gradient, a);
}

}  // namespace birkhoff

#include "kernels/elementwise/bias.h"

namespace birkhoff::reference {

void add_bias(const AddBiasArgs& a) {
  const int64_t C = a.y.shape.back();
  for (int64_t i = 0; i < a.y.count(); ++i) a.y.as<double>()[i] += a.bias.as<double>()[i % C];
}

void bias_gradient(const BiasGradientArgs& a) {
  const int64_t C = a.dy.shape.back();
  for (int64_t i = 0; i < a.dy.count(); ++i) a.dbias.as<double>()[i % C] += a.dy.as<double>()[i];
}

}  // namespace birkhoff::reference

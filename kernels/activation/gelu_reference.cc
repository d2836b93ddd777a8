#include <cmath>
#include <numbers>

#include "kernels/activation/gelu.h"

namespace birkhoff::reference {
namespace {
const double kRoot = std::sqrt(2 / std::numbers::pi);
}

void gelu_forward(const GeluArgs& a) {
  for (int64_t i = 0; i < a.x.count(); ++i) {
    const double x = a.x.as<double>()[i];
    a.y.as<double>()[i] = 0.5 * x * (1 + std::tanh(kRoot * (x + 0.044715 * x * x * x)));
  }
}

void gelu_backward(const GeluBackwardArgs& a) {
  for (int64_t i = 0; i < a.x.count(); ++i) {
    const double x = a.x.as<double>()[i], t = std::tanh(kRoot * (x + 0.044715 * x * x * x));
    const double slope = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * kRoot * (1 + 3 * 0.044715 * x * x);
    a.dx.as<double>()[i] = a.dy.as<double>()[i] * slope;
  }
}

}  // namespace birkhoff::reference

#include <cmath>

#include "kernels/activation/gelu.h"

namespace birkhoff::reference {

constexpr double kSlope = 0.79788456080286535588;  // sqrt(2 / pi)
constexpr double kCubic = 0.044715;

void gelu_forward(const GeluArgs& a) {
  for (int64_t i = 0; i < a.x.count(); ++i) {
    const double x = a.x.as<double>()[i];
    a.y.as<double>()[i] = 0.5 * x * (1 + std::tanh(kSlope * (x + kCubic * x * x * x)));
  }
}

void gelu_backward(const GeluBackwardArgs& a) {
  for (int64_t i = 0; i < a.x.count(); ++i) {
    const double x = a.x.as<double>()[i];
    const double tanh = std::tanh(kSlope * (x + kCubic * x * x * x));
    const double du = kSlope * (1 + 3 * kCubic * x * x);
    a.dx.as<double>()[i] = a.dy.as<double>()[i] * 0.5 * (1 + tanh + x * (1 - tanh * tanh) * du);
  }
}

}  // namespace birkhoff::reference

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/activation/swiglu.h"

namespace birkhoff::reference {
namespace {
double limit_of(float clamp) {
  return clamp > 0 ? static_cast<double>(clamp) : std::numeric_limits<double>::infinity();
}
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
}  // namespace

void swiglu_forward(const SwigluArgs& a) {
  const int64_t T = a.y.shape.rows(), F = a.y.shape.back();
  const double limit = limit_of(a.clamp);
  for (int64_t t = 0; t < T; ++t) {
    const double scale = a.scale.present() ? a.scale.as<double>()[t] : 1;
    for (int64_t f = 0; f < F; ++f) {
      const double g = std::min(a.x.as<double>()[t * 2 * F + f], limit);
      const double u = std::clamp(a.x.as<double>()[t * 2 * F + F + f], -limit, limit);
      a.y.as<double>()[t * F + f] = scale * g * sigmoid(g) * u;
    }
  }
}

void swiglu_backward(const SwigluBackwardArgs& a) {
  const int64_t T = a.dy.shape.rows(), F = a.dy.shape.back();
  const double limit = limit_of(a.clamp);
  for (int64_t t = 0; t < T; ++t) {
    const double scale = a.scale.present() ? a.scale.as<double>()[t] : 1;
    const double* x = a.x.as<double>() + t * 2 * F;
    double* dx = a.dx.as<double>() + t * 2 * F;
    double dscale = 0;
    for (int64_t f = 0; f < F; ++f) {
      const double g = std::min(x[f], limit), u = std::clamp(x[F + f], -limit, limit), s = sigmoid(g);
      const double dy = a.dy.as<double>()[t * F + f];
      dscale += dy * g * s * u;
      dx[f] = x[f] <= limit ? scale * dy * u * s * (1 + g * (1 - s)) : 0;
      dx[F + f] = std::abs(x[F + f]) <= limit ? scale * dy * g * s : 0;
    }
    if (a.dscale.present()) a.dscale.as<double>()[t] = dscale;
  }
}

}  // namespace birkhoff::reference

#include <algorithm>
#include <cmath>

#include "kernels/activation/gelu.h"
#include "kernels/activation/swiglu.h"

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

namespace {

struct Gates {
  double gate, up, gate_slope, up_slope;  // clamped values; a slope is 0 where the clamp changed the value
};
Gates clamped(double gate, double up, double clamp) {
  if (clamp <= 0) return {gate, up, 1, 1};
  return {std::min(gate, clamp), std::clamp(up, -clamp, clamp), gate > clamp ? 0.0 : 1.0,
          std::abs(up) > clamp ? 0.0 : 1.0};
}
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

void swiglu_forward(const SwigluArgs& a) {
  const int64_t T = a.y.shape.rows(), F = a.y.shape.back();
  for (int64_t t = 0; t < T; ++t) {
    const double* x = a.x.as<double>() + t * 2 * F;
    const double scale = a.row_scale.present() ? a.row_scale.as<double>()[t] : 1;
    for (int64_t f = 0; f < F; ++f) {
      const Gates g = clamped(x[f], x[F + f], a.clamp);
      a.y.as<double>()[t * F + f] = scale * g.gate * sigmoid(g.gate) * g.up;
    }
  }
}

void swiglu_backward(const SwigluBackwardArgs& a) {
  const int64_t T = a.dy.shape.rows(), F = a.dy.shape.back();
  for (int64_t t = 0; t < T; ++t) {
    const double *x = a.x.as<double>() + t * 2 * F, *dy = a.dy.as<double>() + t * F;
    double* dx = a.dx.as<double>() + t * 2 * F;
    const double scale = a.row_scale.present() ? a.row_scale.as<double>()[t] : 1;
    double dscale = 0;
    for (int64_t f = 0; f < F; ++f) {
      const Gates g = clamped(x[f], x[F + f], a.clamp);
      const double s = sigmoid(g.gate), silu = g.gate * s;
      dscale += dy[f] * silu * g.up;
      dx[f] = scale * dy[f] * g.up * (s + silu * (1 - s)) * g.gate_slope;
      dx[F + f] = scale * dy[f] * silu * g.up_slope;
    }
    if (a.row_scale.present()) a.drow_scale.as<double>()[t] = dscale;
  }
}

}  // namespace birkhoff::reference

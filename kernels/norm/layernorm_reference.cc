#include <cmath>

#include "kernels/norm/layernorm.h"

namespace birkhoff::reference {

void layernorm_forward(const LayerNormArgs& a) {
  const int64_t C = a.x.shape.back();
  const double *gain = a.gain.as<double>(), *bias = a.bias.as<double>();
  for (int64_t t = 0; t < a.x.shape.rows(); ++t) {
    const double* x = a.x.as<double>() + t * C;
    double* y = a.y.as<double>() + t * C;
    double sum = 0, squares = 0;
    for (int64_t c = 0; c < C; ++c) sum += x[c];
    const double mean = sum / static_cast<double>(C);
    for (int64_t c = 0; c < C; ++c) {
      const double d = x[c] - mean;
      squares += d * d;
    }
    const double rstd = 1 / std::sqrt(squares / static_cast<double>(C) + a.eps);
    for (int64_t c = 0; c < C; ++c) y[c] = (x[c] - mean) * rstd * gain[c] + bias[c];
    a.mean.as<double>()[t] = mean;
    a.rstd.as<double>()[t] = rstd;
  }
}

void layernorm_backward(const LayerNormBackwardArgs& a) {
  const int64_t C = a.x.shape.back();
  const double* gain = a.gain.as<double>();
  for (int64_t t = 0; t < a.x.shape.rows(); ++t) {
    const double *x = a.x.as<double>() + t * C, *dy = a.dy.as<double>() + t * C;
    double* dx = a.dx.as<double>() + t * C;
    const double mean = a.mean.as<double>()[t], rstd = a.rstd.as<double>()[t];
    double sum = 0, dot = 0;
    for (int64_t c = 0; c < C; ++c) {
      const double g = dy[c] * gain[c];
      sum += g;
      dot += g * (x[c] - mean) * rstd;
    }
    sum /= static_cast<double>(C);
    dot /= static_cast<double>(C);
    for (int64_t c = 0; c < C; ++c) {
      const double g = dy[c], n = (x[c] - mean) * rstd;
      a.dgain.as<double>()[c] += g * n;
      a.dbias.as<double>()[c] += g;
      dx[c] = rstd * (g * gain[c] - sum - n * dot);
    }
  }
}

}  // namespace birkhoff::reference

#include <cmath>

#include "kernels/norm/layernorm.h"
#include "kernels/norm/rmsnorm.h"

namespace birkhoff::reference {

void layernorm_forward(const LayerNormArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  const double *x = a.x.as<double>(), *weight = a.weight.as<double>(), *bias = a.bias.as<double>();
  for (int64_t t = 0; t < T; ++t, x += C) {
    double sum = 0, squares = 0;
    for (int64_t c = 0; c < C; ++c) sum += x[c];
    const double mean = sum / static_cast<double>(C);
    for (int64_t c = 0; c < C; ++c) squares += (x[c] - mean) * (x[c] - mean);
    const double rstd = 1 / std::sqrt(squares / static_cast<double>(C) + a.eps);
    double* y = a.y.as<double>() + t * C;
    for (int64_t c = 0; c < C; ++c) y[c] = (x[c] - mean) * rstd * weight[c] + bias[c];
    a.mean.as<double>()[t] = mean;
    a.rstd.as<double>()[t] = rstd;
  }
}

void layernorm_backward(const LayerNormBackwardArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  const double *x = a.x.as<double>(), *dy = a.dy.as<double>(), *weight = a.weight.as<double>();
  double *dweight = a.dweight.as<double>(), *dbias = a.dbias.as<double>();
  for (int64_t t = 0; t < T; ++t, x += C, dy += C) {
    const double mean = a.mean.as<double>()[t], rstd = a.rstd.as<double>()[t];
    double sum = 0, dot = 0;
    for (int64_t c = 0; c < C; ++c) {
      sum += dy[c] * weight[c];
      dot += dy[c] * weight[c] * (x[c] - mean) * rstd;
    }
    double* dx = a.dx.as<double>() + t * C;
    for (int64_t c = 0; c < C; ++c) {
      const double n = (x[c] - mean) * rstd;
      dweight[c] += dy[c] * n;
      dbias[c] += dy[c];
      dx[c] = rstd * (dy[c] * weight[c] - (sum + n * dot) / static_cast<double>(C));
    }
  }
}

void rmsnorm_forward(const RmsNormArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  const double* x = a.x.as<double>();
  const double* gain = a.gain.present() ? a.gain.as<double>() : nullptr;
  for (int64_t t = 0; t < T; ++t) {
    double sum = 0;
    for (int64_t c = 0; c < C; ++c) sum += x[t * C + c] * x[t * C + c];
    const double rstd = 1 / std::sqrt(sum / static_cast<double>(C) + a.eps);
    for (int64_t c = 0; c < C; ++c) a.y.as<double>()[t * C + c] = x[t * C + c] * rstd * (gain ? gain[c] : 1);
    a.rstd.as<double>()[t] = rstd;
  }
}

void rmsnorm_backward(const RmsNormBackwardArgs& a) {
  const int64_t T = a.x.shape.rows(), C = a.x.shape.back();
  const double *x = a.x.as<double>(), *dy = a.dy.as<double>(), *rstd = a.rstd.as<double>();
  const double* gain = a.gain.present() ? a.gain.as<double>() : nullptr;
  for (int64_t t = 0; t < T; ++t) {
    double dot = 0;
    for (int64_t c = 0; c < C; ++c) dot += dy[t * C + c] * (gain ? gain[c] : 1) * x[t * C + c];
    const double k = dot * rstd[t] * rstd[t] / static_cast<double>(C);
    for (int64_t c = 0; c < C; ++c) {
      const int64_t i = t * C + c;
      if (gain) a.dgain.as<double>()[c] += dy[i] * x[i] * rstd[t];
      a.dx.as<double>()[i] = rstd[t] * (dy[i] * (gain ? gain[c] : 1) - x[i] * k);
    }
  }
}

}  // namespace birkhoff::reference

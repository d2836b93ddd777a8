#include <cmath>

#include "kernels/norm/rmsnorm.h"

namespace birkhoff::reference {

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

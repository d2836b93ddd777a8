#include <cmath>

#include "kernels/hyper/hc_coefficients.h"

namespace birkhoff::reference {

void hc_coefficients_forward(const HcCoefficientsArgs& a) {
  const int64_t S = a.x.shape[1], C = a.x.shape[2], R = S + 2;
  const double *fn = a.fn.as<double>(), *base = a.base.as<double>(), *scale = a.scale.as<double>();
  for (int64_t row = 0; row < a.x.shape[0] * S; ++row) {
    const double* x = a.x.as<double>() + row * C;
    const int64_t i = row % S;
    double squares = 0;
    for (int64_t c = 0; c < C; ++c) squares += x[c] * x[c];
    const double rstd = a.rstd.as<double>()[row] = 1 / std::sqrt(squares / static_cast<double>(C) + a.norm_eps);
    for (int64_t r = 0; r < R; ++r) {
      double sum = 0;
      for (int64_t c = 0; c < C; ++c) sum += fn[r * C + c] * x[c];
      a.mixes.as<double>()[row * R + r] = sum * rstd;
    }
    const double* mixes = a.mixes.as<double>() + row * R;
    a.pre.as<double>()[row] = scale[0] * std::tanh(mixes[0]) + base[i];
    a.post.as<double>()[row] = scale[1] * std::tanh(mixes[1]) + base[S + i];
    for (int64_t j = 0; j < S; ++j) {
      a.comb.as<double>()[row * S + j] = scale[0] * std::tanh(mixes[2 + j]) + base[2 * S + i * S + j];
    }
  }
}

void hc_coefficients_backward(const HcCoefficientsBackwardArgs& a) {
  const int64_t S = a.x.shape[1], C = a.x.shape[2], R = S + 2;
  const double *fn = a.fn.as<double>(), *scale = a.scale.as<double>();
  for (int64_t row = 0; row < a.x.shape[0] * S; ++row) {
    const double *x = a.x.as<double>() + row * C, *mixes = a.mixes.as<double>() + row * R;
    double* dx = a.dx.as<double>() + row * C;
    const double rstd = a.rstd.as<double>()[row];
    const int64_t i = row % S;
    double dot = 0;  // <dmixes, mixes>
    for (int64_t r = 0; r < R; ++r) {
      const double d = r == 0   ? a.dpre.as<double>()[row]
                       : r == 1 ? a.dpost.as<double>()[row]
                                : a.dcomb.as<double>()[row * S + r - 2];
      const int64_t group = r == 1 ? 1 : 0;
      const double value = std::tanh(mixes[r]), dmix = d * scale[group] * (1 - value * value);
      a.dbase.as<double>()[r < 2 ? r * S + i : 2 * S + i * S + r - 2] += d;
      a.dscale.as<double>()[group] += d * value;
      dot += dmix * mixes[r];
      for (int64_t c = 0; c < C; ++c) {
        a.dfn.as<double>()[r * C + c] += dmix * rstd * x[c];
        dx[c] += dmix * rstd * fn[r * C + c];
      }
    }
    for (int64_t c = 0; c < C; ++c) dx[c] -= dot * rstd * rstd / static_cast<double>(C) * x[c];
  }
}

}  // namespace birkhoff::reference

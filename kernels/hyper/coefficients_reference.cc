#include <cmath>
#include <vector>

#include "kernels/hyper/coefficients.h"

namespace birkhoff::reference {

void sinkhorn_forward(const SinkhornArgs&);
void sinkhorn_backward(const SinkhornBackwardArgs&);

namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

Tensor matrix(std::vector<double>& values, int64_t S) { return {values.data(), DType::f64, {1, S, S}}; }

// scale * mixes + base of one token.
std::vector<double> arguments(const double* mixes, const Tensor& base, const Tensor& scale, int64_t S) {
  const int64_t R = base.count();
  std::vector<double> z(static_cast<size_t>(R));
  for (int64_t r = 0; r < R; ++r) {
    const int64_t group = r < S ? 0 : r < 2 * S ? 1 : 2;
    z[static_cast<size_t>(r)] = scale.as<double>()[group] * mixes[r] + base.as<double>()[r];
  }
  return z;
}

}  // namespace

void hyper_coefficients_forward(const HyperCoefficientsArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2], R = a.base.count(), N = S * C;
  for (int64_t t = 0; t < T; ++t) {
    const double* x = a.x.as<double>() + t * N;
    double* mixes = a.mixes.as<double>() + t * R;
    double squares = 0;
    for (int64_t k = 0; k < N; ++k) squares += x[k] * x[k];
    const double rstd = a.rstd.as<double>()[t] = 1 / std::sqrt(squares / static_cast<double>(N) + a.options.norm_eps);
    for (int64_t r = 0; r < R; ++r) {
      double sum = 0;
      for (int64_t k = 0; k < N; ++k) sum += a.fn.as<double>()[r * N + k] * x[k];
      mixes[r] = sum * rstd;
    }
    std::vector<double> z = arguments(mixes, a.base, a.scale, S);
    double* pre = a.pre.as<double>() + t * S;
    for (int64_t i = 0; i < S; ++i) pre[i] = sigmoid(z[static_cast<size_t>(i)]) + a.options.sinkhorn.eps;
    for (int64_t c = 0; a.h.present() && c < C; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < S; ++i) sum += pre[i] * x[i * C + c];
      a.h.as<double>()[t * C + c] = sum;
    }
    if (R == S) continue;
    for (int64_t j = 0; j < S; ++j) {
      a.post.as<double>()[t * S + j] = a.options.post_multiplier * sigmoid(z[static_cast<size_t>(S + j)]);
    }
    std::vector<double> logits(z.begin() + 2 * S, z.end());
    sinkhorn_forward({a.comb.rows(t, 1), matrix(logits, S), a.options.sinkhorn});
  }
}

void hyper_coefficients_backward(const HyperCoefficientsBackwardArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2], R = a.base.count(), N = S * C;
  for (int64_t t = 0; t < T; ++t) {
    const double *x = a.x.as<double>() + t * N, *mixes = a.mixes.as<double>() + t * R;
    double* dx = a.dx.as<double>() + t * N;
    const double rstd = a.rstd.as<double>()[t];
    const std::vector<double> z = arguments(mixes, a.base, a.scale, S);
    std::vector<double> dz(z.size());
    for (int64_t i = 0; i < S; ++i) {
      const double s = sigmoid(z[static_cast<size_t>(i)]);
      double dpre = a.dpre.present() ? a.dpre.as<double>()[t * S + i] : 0;
      for (int64_t c = 0; a.dh.present() && c < C; ++c) {
        const double dh = a.dh.as<double>()[t * C + c];
        dpre += dh * x[i * C + c];
        dx[i * C + c] += (s + a.options.sinkhorn.eps) * dh;
      }
      dz[static_cast<size_t>(i)] = dpre * s * (1 - s);
    }
    if (R != S) {
      for (int64_t j = 0; j < S; ++j) {
        const double s = sigmoid(z[static_cast<size_t>(S + j)]);
        dz[static_cast<size_t>(S + j)] = a.dpost.as<double>()[t * S + j] * a.options.post_multiplier * s * (1 - s);
      }
      std::vector<double> logits(z.begin() + 2 * S, z.end()), dlogits(logits.size());
      sinkhorn_backward({matrix(dlogits, S), a.dcomb.rows(t, 1), matrix(logits, S), a.options.sinkhorn});
      std::copy(dlogits.begin(), dlogits.end(), dz.begin() + 2 * S);
    }
    double dot = 0;  // <dmixes, mixes>
    for (int64_t r = 0; r < R; ++r) {
      const int64_t group = r < S ? 0 : r < 2 * S ? 1 : 2;
      const double d = dz[static_cast<size_t>(r)], dmix = d * a.scale.as<double>()[group];
      a.dbase.as<double>()[r] += d;
      a.dscale.as<double>()[group] += d * mixes[r];
      dot += dmix * mixes[r];
      for (int64_t k = 0; k < N; ++k) {
        a.dfn.as<double>()[r * N + k] += dmix * rstd * x[k];
        dx[k] += dmix * rstd * a.fn.as<double>()[r * N + k];
      }
    }
    for (int64_t k = 0; k < N; ++k) dx[k] -= dot * rstd * rstd / static_cast<double>(N) * x[k];
  }
}

}  // namespace birkhoff::reference

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/hyper/coefficients.h"
#include "kernels/hyper/gain.h"
#include "kernels/hyper/hc_coefficients.h"
#include "kernels/hyper/sinkhorn.h"

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

void hyper_gain(const HyperGainArgs& a) {
  const int64_t T = a.combs[0].shape[0], S = a.combs[0].shape[1];
  double forward = 0, backward = 0, tokens = 0;
  for (int64_t t = 0; t < T; ++t) {
    if (a.token_mask.present() && a.token_mask.as<uint8_t>()[t] == 0) continue;
    const double* first = a.combs[0].as<double>() + t * S * S;
    std::vector<double> m(first, first + S * S);
    for (const Tensor& comb : a.combs.subspan(1)) {
      std::vector<double> product(m.size(), 0.0);
      for (int64_t i = 0; i < S; ++i) {
        for (int64_t k = 0; k < S; ++k) {
          for (int64_t j = 0; j < S; ++j) {
            product[static_cast<size_t>(i * S + j)] +=
                m[static_cast<size_t>(i * S + k)] * comb.as<double>()[(t * S + k) * S + j];
          }
        }
      }
      m.swap(product);
    }
    double column = 0, row = 0;
    for (int64_t i = 0; i < S; ++i) {
      double over_inputs = 0, over_outputs = 0;
      for (int64_t k = 0; k < S; ++k) {
        over_inputs += std::abs(m[static_cast<size_t>(k * S + i)]);
        over_outputs += std::abs(m[static_cast<size_t>(i * S + k)]);
      }
      column = std::max(column, over_inputs);
      row = std::max(row, over_outputs);
    }
    forward += column;
    backward += row;
    tokens += 1;
  }
  double* sums = a.sums.as<double>();
  sums[0] = forward, sums[1] = backward, sums[2] = tokens;
}

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

namespace {

// The matrix of one token after every step: step 0 is the softmax; odd steps divide by sums over i, even ones by sums
// over j.
struct Steps {
  std::vector<std::vector<double>> m;     // [2 * iterations][S*S], after each step
  std::vector<std::vector<double>> sums;  // [2 * iterations][S], the divisors of each step; empty for the softmax
};

Steps iterate(const double* logits, int64_t S, const SinkhornOptions& options) {
  const size_t n = static_cast<size_t>(S);
  Steps steps;
  std::vector<double> m(n * n);
  for (size_t i = 0; i < n; ++i) {
    const double* row = logits + i * n;
    const double most = *std::max_element(row, row + n);
    double sum = 0;
    for (size_t j = 0; j < n; ++j) sum += m[i * n + j] = std::exp(row[j] - most);
    for (size_t j = 0; j < n; ++j) m[i * n + j] = m[i * n + j] / sum + options.eps;
  }
  steps.m.push_back(m);
  steps.sums.emplace_back();
  for (int step = 1; step < 2 * options.iterations; ++step) {
    std::vector<double> sums(n, options.eps);
    for (size_t k = 0; k < n * n; ++k) sums[step % 2 ? k % n : k / n] += m[k];
    for (size_t k = 0; k < n * n; ++k) m[k] /= sums[step % 2 ? k % n : k / n];
    steps.m.push_back(m);
    steps.sums.push_back(sums);
  }
  return steps;
}

}  // namespace

void sinkhorn_forward(const SinkhornArgs& a) {
  const int64_t T = a.logits.shape[0], S = a.logits.shape[1];
  for (int64_t t = 0; t < T; ++t) {
    const Steps steps = iterate(a.logits.as<double>() + t * S * S, S, a.options);
    std::copy(steps.m.back().begin(), steps.m.back().end(), a.comb.as<double>() + t * S * S);
  }
}

void sinkhorn_backward(const SinkhornBackwardArgs& a) {
  const int64_t T = a.logits.shape[0], S = a.logits.shape[1];
  const size_t n = static_cast<size_t>(S);
  for (int64_t t = 0; t < T; ++t) {
    const Steps steps = iterate(a.logits.as<double>() + t * S * S, S, a.options);
    std::vector<double> g(a.dcomb.as<double>() + t * S * S, a.dcomb.as<double>() + (t + 1) * S * S);
    for (size_t step = steps.m.size() - 1; step > 0; --step) {
      std::vector<double> dot(n, 0.0);
      for (size_t k = 0; k < n * n; ++k) dot[step % 2 ? k % n : k / n] += g[k] * steps.m[step][k];
      for (size_t k = 0; k < n * n; ++k) {
        const size_t line = step % 2 ? k % n : k / n;
        g[k] = (g[k] - dot[line]) / steps.sums[step][line];
      }
    }
    std::vector<double> dot(n, 0.0);
    auto p = [&](size_t k) { return steps.m[0][k] - a.options.eps; };
    for (size_t k = 0; k < n * n; ++k) dot[k / n] += g[k] * p(k);
    for (size_t k = 0; k < n * n; ++k)
      a.dlogits.as<double>()[static_cast<size_t>(t) * n * n + k] = p(k) * (g[k] - dot[k / n]);
  }
}

}  // namespace birkhoff::reference

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/hyper/sinkhorn.h"

namespace birkhoff::reference {
namespace {

// One matrix and the steps that led to it: step 0 the softmax, odd steps divided by sums over i, even ones over j.
struct Steps {
  std::vector<std::vector<double>> m;     // [2 * iterations][S*S], after each step
  std::vector<std::vector<double>> sums;  // [2 * iterations][S], the divisors of each step but the first
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

#include <algorithm>
#include <vector>

#include "kernels/moe/balance_loss.h"

namespace birkhoff::reference {
namespace {

bool counts(Tensor mask, int64_t t) { return !mask.present() || mask.as<uint8_t>()[t] != 0; }

double sum_of(const double* values, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += values[i];
  return sum;
}

int64_t tokens_of(Tensor mask, int64_t first, int64_t length) {
  int64_t n = 0;
  for (int64_t t = first; t < first + length; ++t) n += counts(mask, t);
  return n;
}

// Whether fewer than K experts come before e when sorted by score, then index.
bool is_chosen(const double* s, int64_t e, int64_t E, int64_t K) {
  int64_t before = 0;
  for (int64_t j = 0; j < E; ++j) before += s[j] > s[e] || (s[j] == s[e] && j < e);
  return before < K;
}

}  // namespace

void balance_loss_forward(const BalanceLossArgs& a) {
  const int64_t T = a.scores.shape.rows(), E = a.scores.shape.back();
  for (int64_t q = 0; q < T / a.length; ++q) {
    const double n = static_cast<double>(tokens_of(a.token_mask, q * a.length, a.length));
    double* fraction = a.fraction.as<double>() + q * E;
    std::fill_n(fraction, E, 0.0);
    std::vector<double> mean(static_cast<size_t>(E), 0.0);
    for (int64_t t = q * a.length; t < (q + 1) * a.length; ++t) {
      if (!counts(a.token_mask, t)) continue;
      const double* s = a.scores.as<double>() + t * E;
      for (int64_t e = 0; e < E; ++e) {
        mean[static_cast<size_t>(e)] += s[e] / sum_of(s, E) / n;
        if (is_chosen(s, e, E, a.num_chosen))
          fraction[e] += static_cast<double>(E) / (static_cast<double>(a.num_chosen) * n);
      }
    }
    for (int64_t e = 0; e < E; ++e)
      *a.loss.as<double>() += a.alpha * a.weight * fraction[e] * mean[static_cast<size_t>(e)];
  }
}

void balance_loss_backward(const BalanceLossBackwardArgs& a) {
  const int64_t T = a.scores.shape.rows(), E = a.scores.shape.back();
  for (int64_t t = 0; t < T; ++t) {
    const int64_t q = t / a.length;
    const double *s = a.scores.as<double>() + t * E, *fraction = a.fraction.as<double>() + q * E;
    const double n = static_cast<double>(tokens_of(a.token_mask, q * a.length, a.length));
    const double sum = sum_of(s, E);
    double mean = 0;
    for (int64_t e = 0; e < E; ++e) mean += fraction[e] * s[e] / sum;
    for (int64_t e = 0; e < E; ++e) {
      const double d = counts(a.token_mask, t) ? a.alpha * a.weight / n * (fraction[e] - mean) / sum : 0;
      a.dscores.as<double>()[t * E + e] = d;
    }
  }
}

}  // namespace birkhoff::reference

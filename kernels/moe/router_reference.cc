#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/moe/router.h"

namespace birkhoff::reference {
namespace {

void scores_of(double* s, const double* z, int64_t E, RouterScore score) {
  const double top = score == RouterScore::softmax ? *std::max_element(z, z + E) : 0;
  double sum = 0;
  for (int64_t e = 0; e < E; ++e) {
    if (score == RouterScore::sigmoid) s[e] = 1 / (1 + std::exp(-z[e]));
    if (score == RouterScore::sqrt_softplus) s[e] = std::sqrt(z[e] > 20 ? z[e] : std::log1p(std::exp(z[e])));
    if (score == RouterScore::softmax) sum += s[e] = std::exp(z[e] - top);
  }
  for (int64_t e = 0; score == RouterScore::softmax && e < E; ++e) s[e] /= sum;
}

// Positions of the `count` largest, by repeated search.
std::vector<int64_t> largest(std::vector<double> values, int64_t count) {
  std::vector<int64_t> found;
  for (int64_t n = 0; n < count; ++n) {
    int64_t best = -1;
    for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i) {
      if (std::count(found.begin(), found.end(), i)) continue;
      if (best < 0 || values[static_cast<size_t>(i)] > values[static_cast<size_t>(best)]) best = i;
    }
    found.push_back(best);
  }
  return found;
}

// Experts of a group that is not kept get a value below every other.
void drop_groups(std::vector<double>& biased, int64_t groups, int64_t kept) {
  const int64_t size = static_cast<int64_t>(biased.size()) / groups;
  std::vector<double> group_score;
  for (int64_t g = 0; g < groups; ++g) {
    const std::vector<double> members(biased.begin() + g * size, biased.begin() + (g + 1) * size);
    double sum = 0;
    for (int64_t i : largest(members, std::min<int64_t>(2, size))) sum += members[static_cast<size_t>(i)];
    group_score.push_back(sum);
  }
  const auto winners = largest(group_score, kept);
  for (int64_t g = 0; g < groups; ++g) {
    if (std::count(winners.begin(), winners.end(), g)) continue;
    std::fill_n(biased.begin() + g * size, size, -std::numeric_limits<double>::infinity());
  }
}

void choose(int32_t* index, const double* s, const RouterArgs& a, int64_t E, int64_t K) {
  std::vector<double> biased(s, s + E);
  for (int64_t e = 0; e < E; ++e) {
    auto& b = biased[static_cast<size_t>(e)];
    if (a.bias.present()) b += a.bias.as<double>()[e];
    if (std::isnan(b)) b = std::numeric_limits<double>::lowest();
  }
  drop_groups(biased, a.num_groups, a.num_groups_kept);
  const auto found = largest(biased, K);
  std::copy(found.begin(), found.end(), index);
}

double slope(double s, RouterScore score) {
  if (score == RouterScore::sigmoid) return s * (1 - s);
  return s > 0 ? -std::expm1(-s * s) / (2 * s) : 0;
}

}  // namespace

void router_forward(const RouterArgs& a) {
  const int64_t T = a.logits.shape.rows(), E = a.logits.shape.back(), K = a.index.shape.back();
  for (int64_t t = 0; t < T; ++t) {
    double* s = a.scores.as<double>() + t * E;
    int32_t* index = a.index.as<int32_t>() + t * K;
    scores_of(s, a.logits.as<double>() + t * E, E, a.score);
    if (a.chosen.present()) {
      std::copy_n(a.chosen.as<int32_t>() + t * K, K, index);
    } else {
      choose(index, s, a, E, K);
    }
    double sum = 1e-20;
    for (int64_t k = 0; k < K; ++k) sum += s[index[k]];
    for (int64_t k = 0; k < K; ++k) {
      a.gate.as<double>()[t * K + k] = a.route_scale * s[index[k]] / (a.renormalise ? sum : 1);
      if (!a.load.present() || (a.token_mask.present() && a.token_mask.as<uint8_t>()[t] == 0)) continue;
      if (a.load.dtype == DType::i64) {
        a.load.as<int64_t>()[index[k]] += 1;
      } else {
        a.load.as<double>()[index[k]] += 1;
      }
    }
  }
}

void router_backward(const RouterBackwardArgs& a) {
  const int64_t T = a.scores.shape.rows(), E = a.scores.shape.back(), K = a.index.shape.back();
  for (int64_t t = 0; t < T; ++t) {
    const double *s = a.scores.as<double>() + t * E, *dgate = a.dgate.as<double>() + t * K;
    const int32_t* index = a.index.as<int32_t>() + t * K;
    std::vector<double> ds(static_cast<size_t>(E), 0.0);
    if (a.dscores.present()) std::copy_n(a.dscores.as<double>() + t * E, E, ds.begin());
    double sum = 1e-20, mean = 0, dot = 0;
    for (int64_t k = 0; k < K; ++k) sum += s[index[k]];
    for (int64_t k = 0; k < K; ++k) mean += dgate[k] * s[index[k]] / sum;
    for (int64_t k = 0; k < K; ++k) {
      ds[static_cast<size_t>(index[k])] += a.route_scale * (a.renormalise ? (dgate[k] - mean) / sum : dgate[k]);
    }
    for (int64_t e = 0; e < E; ++e) dot += ds[static_cast<size_t>(e)] * s[e];
    for (int64_t e = 0; e < E; ++e) {
      const double d = ds[static_cast<size_t>(e)];
      a.dlogits.as<double>()[t * E + e] = a.score == RouterScore::softmax ? s[e] * (d - dot) : d * slope(s[e], a.score);
    }
  }
}

}  // namespace birkhoff::reference

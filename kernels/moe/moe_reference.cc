#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/moe/balance_loss.h"
#include "kernels/moe/bias_update.h"
#include "kernels/moe/destinations.h"
#include "kernels/moe/expert_order.h"
#include "kernels/moe/permute.h"
#include "kernels/moe/router.h"

namespace birkhoff::reference {

namespace {

bool counts(Tensor mask, int64_t t) { return !mask.present() || mask.as<uint8_t>()[t] != 0; }

double sum_of(const double* values, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += values[i];
  return sum;
}

// The position of expert e in the choice of token t: in `chosen` if given, otherwise in the order of scores, then
// indices. At least num_chosen if e was not chosen.
int64_t place_of(const BalanceCountsArgs& a, int64_t t, int64_t e) {
  if (a.chosen.present()) {
    const int32_t* chosen = a.chosen.as<int32_t>() + t * a.num_chosen;
    return std::find(chosen, chosen + a.num_chosen, e) - chosen;
  }
  const int64_t E = a.scores.shape.back();
  const double* s = a.scores.as<double>() + t * E;
  int64_t before = 0;
  for (int64_t j = 0; j < E; ++j) before += s[j] > s[e] || (s[j] == s[e] && j < e);
  return before;
}

}  // namespace

void balance_counts(const BalanceCountsArgs& a) {
  const int64_t T = a.scores.shape.rows(), E = a.scores.shape.back();
  double *probability = a.probability.as<double>(), *counted = a.counts.as<double>();
  std::fill_n(probability, a.probability.count(), 0.0);
  std::fill_n(counted, a.counts.count(), 0.0);
  for (int64_t t = 0; t < T; ++t) {
    const int64_t q = (a.first + t) / a.length;
    int32_t* index = a.index.present() ? a.index.as<int32_t>() + t * a.num_chosen : nullptr;
    if (index) std::fill_n(index, a.num_chosen, -1);
    if (!counts(a.token_mask, t)) continue;
    for (int64_t k = 0; a.chosen.present() && k < a.num_chosen; ++k) {
      const int32_t e = a.chosen.as<int32_t>()[t * a.num_chosen + k];
      BK_ASSERT(e >= 0 && e < E, "balance_counts: expert ", e, " of ", E, " was chosen");
    }
    const double* s = a.scores.as<double>() + t * E;
    for (int64_t e = 0; e < E; ++e) {
      probability[q * E + e] += s[e] / sum_of(s, E);
      const int64_t place = place_of(a, t, e);
      if (place < a.num_chosen && index) index[place] = static_cast<int32_t>(e);
      if (place < a.num_chosen) counted[q * (E + 1) + e] += 1;
    }
    counted[q * (E + 1) + E] += 1;
  }
}

void balance_loss_forward(const BalanceLossArgs& a) {
  const int64_t Q = a.fraction.shape[0], E = a.fraction.shape[1];
  for (int64_t q = 0; q < Q; ++q) {
    const double *counted = a.counts.as<double>() + q * (E + 1), n = counted[E];
    for (int64_t e = 0; e < E; ++e) {
      const double fraction = n > 0 ? static_cast<double>(E) / (static_cast<double>(a.num_chosen) * n) * counted[e] : 0;
      a.fraction.as<double>()[q * E + e] = fraction;
      const double mean = n > 0 ? a.probability.as<double>()[q * E + e] / n : 0;
      *a.loss.as<double>() += a.alpha * a.weight * fraction * mean;
    }
  }
}

void balance_loss_backward(const BalanceLossBackwardArgs& a) {
  const int64_t T = a.scores.shape.rows(), E = a.scores.shape.back();
  for (int64_t t = 0; t < T; ++t) {
    const int64_t q = (a.first + t) / a.length;
    const double *s = a.scores.as<double>() + t * E, *fraction = a.fraction.as<double>() + q * E;
    const double n = a.counts.as<double>()[q * (E + 1) + E], sum = sum_of(s, E);
    double mean = 0;
    for (int64_t e = 0; e < E; ++e) mean += fraction[e] * s[e] / sum;
    for (int64_t e = 0; e < E; ++e) {
      const double d = counts(a.token_mask, t) ? a.alpha * a.weight / n * (fraction[e] - mean) / sum : 0;
      a.dscores.as<double>()[t * E + e] = d;
    }
  }
}

void router_bias_update(const RouterBiasUpdateArgs& a) {
  const int64_t E = a.bias.count();
  auto load = [&](int64_t e) {
    return a.load.dtype == DType::i64 ? static_cast<double>(a.load.as<int64_t>()[e]) : a.load.as<double>()[e];
  };
  double mean = 0;
  for (int64_t e = 0; e < E; ++e) mean += load(e);
  mean /= static_cast<double>(E);
  for (int64_t e = 0; e < E; ++e) {
    a.bias.as<double>()[e] += a.speed * static_cast<double>((mean > load(e)) - (mean < load(e)));
  }
}

void pair_destinations(const PairDestinationsArgs& a) {
  for (int64_t p = 0; p < a.index.count(); ++p) {
    const int64_t e = a.index.as<int32_t>()[p] - a.first;
    const bool held = e >= 0 && e / a.each < a.num_ranks && counts(a.token_mask, p / a.index.shape.back());
    a.to.as<int32_t>()[p] = held ? static_cast<int32_t>(e / a.each) : -1;
  }
}

void token_destinations(const TokenDestinationsArgs& a) {
  const int64_t K = a.index.shape.back(), D = a.to.shape.back();
  for (int64_t i = 0; i < a.to.count(); ++i) {
    const int64_t t = i / D, begin = a.first + i % D * a.each;
    const int32_t* index = a.index.as<int32_t>() + t * K;
    const bool held = std::any_of(index, index + K, [&](int64_t e) { return e >= begin && e < begin + a.each; });
    a.to.as<int32_t>()[i] = held && counts(a.token_mask, t) ? static_cast<int32_t>(i % D) : -1;
  }
}

void own_experts(const OwnExpertsArgs& a) {
  for (int64_t i = 0; i < a.index.count(); ++i) {
    const int64_t e = a.index.as<int32_t>()[i] - a.first;
    a.own.as<int32_t>()[i] = e >= 0 && e < a.count ? static_cast<int32_t>(e) : -1;
  }
}

void expert_order(const ExpertOrderArgs& a) {
  const int64_t pairs = a.index.count(), K = a.index.shape.back(), E = a.offsets.count() - 1;
  const int32_t* index = a.index.as<int32_t>();
  int64_t row = 0;
  std::fill_n(a.row_of.as<int32_t>(), pairs, -1);
  for (int64_t e = 0; e < E; ++e) {
    a.offsets.as<int64_t>()[e] = row;
    for (int64_t p = 0; p < pairs; ++p) {
      if (index[p] != e) continue;
      a.row_of.as<int32_t>()[p] = static_cast<int32_t>(row);
      a.token_of.as<int32_t>()[row++] = static_cast<int32_t>(p / K);
    }
  }
  a.offsets.as<int64_t>()[E] = row;
  BK_ASSERT(row == pairs - std::count(index, index + pairs, -1), "expert_order: an index is outside [-1,", E, ")");
}

void permute_forward(const PermuteArgs& a) {
  const int64_t R = a.token_of.count(), C = a.x.shape.back();
  for (int64_t r = 0; r < R; ++r) {
    const int64_t t = a.token_of.as<int32_t>()[r];
    for (int64_t c = 0; c < C; ++c) {
      if (a.x.dtype == DType::i32) {
        a.rows.as<int32_t>()[r * C + c] = a.x.as<int32_t>()[t * C + c];
      } else {
        a.rows.as<double>()[r * C + c] = a.x.as<double>()[t * C + c];
      }
    }
  }
}

void combine_forward(const CombineRowsArgs& a) {
  const int64_t T = a.y.shape.rows(), C = a.y.shape.back(), K = a.row_of.shape.back();
  for (int64_t i = 0; i < T * C; ++i) {
    double sum = a.base.present() ? a.base.as<double>()[i] : 0;
    for (int64_t p = i / C * K; p < (i / C + 1) * K; ++p) {
      const int64_t r = a.row_of.as<int32_t>()[p];
      const double gate = a.gate.present() ? a.gate.as<double>()[p] : 1;
      if (r >= 0) sum += gate * a.rows.as<double>()[r * C + i % C];
    }
    a.y.as<double>()[i] = sum;
  }
}

void permute_backward(const PermuteBackwardArgs& a) { combine_forward({a.dx, a.drows, {}, {}, a.row_of}); }

void combine_backward(const CombineRowsBackwardArgs& a) {
  const int64_t pairs = a.row_of.count(), C = a.dy.shape.back(), K = a.row_of.shape.back();
  for (int64_t p = 0; p < pairs; ++p) {
    const int64_t r = a.row_of.as<int32_t>()[p];
    const double* dy = a.dy.as<double>() + p / K * C;
    if (r < 0) {
      if (a.gate.present()) a.dgate.as<double>()[p] = 0;
      continue;
    }
    double dot = 0;
    for (int64_t c = 0; a.gate.present() && c < C; ++c) dot += dy[c] * a.rows.as<double>()[r * C + c];
    const double gate = a.gate.present() ? a.gate.as<double>()[p] : 1;
    if (a.gate.present()) a.dgate.as<double>()[p] = dot;
    for (int64_t c = 0; c < C; ++c) a.drows.as<double>()[r * C + c] = gate * dy[c];
  }
}

void permute_gate_forward(const PermuteGateArgs& a) {
  for (int64_t p = 0; p < a.row_of.count(); ++p) {
    const int64_t r = a.row_of.as<int32_t>()[p];
    if (r < 0) continue;
    if (a.gate.dtype == DType::i32) {
      a.gate_rows.as<int32_t>()[r] = a.gate.as<int32_t>()[p];
    } else {
      a.gate_rows.as<double>()[r] = a.gate.as<double>()[p];
    }
  }
}

void permute_gate_backward(const PermuteGateBackwardArgs& a) {
  for (int64_t p = 0; p < a.row_of.count(); ++p) {
    const int64_t r = a.row_of.as<int32_t>()[p];
    a.dgate.as<double>()[p] = r < 0 ? 0 : a.dgate_rows.as<double>()[r];
  }
}

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

// Positions of the `count` largest values, found by repeated search.
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

// Sets the values of all experts in dropped groups to minus infinity.
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
      a.gate.as<double>()[t * K + k] = a.route_scale * s[index[k]] / (a.renormalize ? sum : 1);
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
      ds[static_cast<size_t>(index[k])] += a.route_scale * (a.renormalize ? (dgate[k] - mean) / sum : dgate[k]);
    }
    for (int64_t e = 0; e < E; ++e) dot += ds[static_cast<size_t>(e)] * s[e];
    for (int64_t e = 0; e < E; ++e) {
      const double d = ds[static_cast<size_t>(e)];
      a.dlogits.as<double>()[t * E + e] = a.score == RouterScore::softmax ? s[e] * (d - dot) : d * slope(s[e], a.score);
    }
  }
}

}  // namespace birkhoff::reference

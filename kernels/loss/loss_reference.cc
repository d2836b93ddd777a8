#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "kernels/core/seeded_defect.h"
#include "kernels/loss/cross_entropy.h"
#include "kernels/loss/cross_entropy_part.h"

namespace birkhoff::reference {

void cross_entropy(const CrossEntropyArgs& a) {
  const int64_t T = a.logits.shape.rows(), V = a.logits.shape.back();
  double loss = 0;
  for (int64_t t = 0; t < T; ++t) {
    const double* logits = a.logits.as<double>() + t * V;
    const int32_t target = a.targets.as<int32_t>()[t];
    BK_ASSERT(target >= -1 && target < V, "target ", target, " of a vocabulary of ", V);
    const bool counts = target >= 0;
    const double max = *std::max_element(logits, logits + V);
    double sum = 0;
    for (int64_t v = 0; v < V; ++v) sum += std::exp(logits[v] - max);
    const double lse = max + std::log(sum), nll = counts ? lse - logits[target] : 0;
    const double weight = counts && a.weight.present() ? a.weight.as<double>()[t] : 0;
    const double scale = weight * (1 + 2 * a.z_loss * lse);
    loss += weight * (nll + a.z_loss * lse * lse);
    if (a.nll.present()) a.nll.as<double>()[t] = nll;
    for (int64_t v = 0; a.dlogits.present() && v < V; ++v) {
      a.dlogits.as<double>()[t * V + v] = scale * std::exp(logits[v] - lse) - (v == target ? weight : 0);
    }
  }
  if (a.loss.present()) a.loss.as<double>()[0] += loss;
}

namespace {

// Statistics of one row, cross_entropy_part.h.
struct RowStatistics {
  double max = -std::numeric_limits<double>::infinity(), sum = 0, target = 0;
  double lse() const { return max + std::log(sum); }
};

// Of the V logits of a part, with the target at `target` if this is in [0, V).
RowStatistics statistics_of(const double* logits, int64_t V, int64_t target) {
  RowStatistics s;
  for (int64_t v = 0; v < V; ++v) s.max = std::max(s.max, logits[v]);
  for (int64_t v = 0; v < V; ++v) s.sum += std::exp(logits[v] - s.max);
  if (target >= 0 && target < V) s.target = logits[target];
  return s;
}

RowStatistics joined(const Tensor& statistics, int64_t t) {
  RowStatistics all;
  const auto part = [&](int64_t i) { return statistics.as<double>() + (i * statistics.shape[1] + t) * 3; };
  for (int64_t i = 0; i < statistics.shape[0]; ++i) all.max = std::max(all.max, part(i)[0]);
  for (int64_t i = 0; i < statistics.shape[0]; ++i) {
    all.sum += part(i)[1] * std::exp(part(i)[0] - all.max);
    all.target += part(i)[2];
  }
  return all;
}

template <class Args>
int32_t target_of(const Args& a, int64_t t) {
  const int32_t target = a.targets.template as<int32_t>()[t];
  BK_ASSERT(target >= -1 && target < a.vocabulary, "target ", target, " of a vocabulary of ", a.vocabulary);
  return target;
}

}  // namespace

void cross_entropy_statistics(const CrossEntropyStatisticsArgs& a) {
  const int64_t T = a.logits.shape[0], V = a.logits.shape[1];
  for (int64_t t = 0; t < T; ++t) {
    const RowStatistics s = statistics_of(a.logits.as<double>() + t * V, V, target_of(a, t) - a.first);
    double* out = a.statistics.as<double>() + t * 3;
    out[0] = s.max, out[1] = s.sum, out[2] = s.target;
  }
}

void cross_entropy_part(const CrossEntropyPartArgs& a) {
  const int64_t T = a.logits.shape[0], V = a.logits.shape[1];
  double loss = 0;
  for (int64_t t = 0; t < T; ++t) {
    const double* logits = a.logits.as<double>() + t * V;
    const int32_t target = target_of(a, t);
    const bool counts = target >= 0;
    const RowStatistics all = joined(a.statistics, t);
    const double nll = counts ? all.lse() - all.target : 0;
    const double weight = counts && a.weight.present() ? a.weight.as<double>()[t] : 0;
    if (t >= a.counted_begin && t < a.counted_begin + a.counted) {
      loss += weight * (nll + a.z_loss * all.lse() * all.lse());
    }
    if (a.nll.present()) a.nll.as<double>()[t] = nll;
    const bool local = BK_DEFECT("D7 local lse in the z term");
    const double z_slope = 2 * a.z_loss * (local ? statistics_of(logits, V, -1) : all).lse();
    int64_t at_target = target - a.first;
    if (BK_DEFECT("D7 non-owners subtract") && V > 0) at_target = std::clamp<int64_t>(at_target, 0, V - 1);
    for (int64_t v = 0; a.dlogits.present() && v < V; ++v) {
      const double softmax = std::exp(logits[v] - all.lse());
      a.dlogits.as<double>()[t * V + v] = weight * ((1 + z_slope) * softmax - (counts && v == at_target));
    }
  }
  if (a.loss.present()) a.loss.as<double>()[0] += loss;
}

}  // namespace birkhoff::reference

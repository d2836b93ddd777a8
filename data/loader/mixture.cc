#include "data/loader/mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {
using Wide = __int128;  // holds weight x sequences, which needs more than 64 bits
constexpr int64_t kOne = int64_t{1} << 62;
}  // namespace

Mixture::Mixture(const std::vector<double>& weights) {
  BK_CHECK(!weights.empty(), "the data mixture is empty; name at least one source");
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    BK_CHECK(std::isfinite(weights[i]) && weights[i] >= 0, "the weight of source ", i, " is ", weights[i],
             "; weights are finite and not negative");
    sum += weights[i];
  }
  BK_CHECK(sum > 0 && std::isfinite(sum), "the weights of the data mixture sum to ", sum, "; one must be above 0");
  for (const double weight : weights) {
    weights_.push_back(static_cast<int64_t>(std::ldexp(weight / sum, 62)));
    num_drawn_ += weight > 0;
  }
  const auto largest = std::max_element(weights_.begin(), weights_.end());
  // Rounding down left the sum slightly below 1. The largest weight takes the remainder, where it matters least.
  *largest += kOne - std::accumulate(weights_.begin(), weights_.end(), Wide{0});
}

int Mixture::next(const std::vector<int64_t>& counts) const {
  BK_ASSERT(counts.size() == weights_.size());
  const Wide k = std::accumulate(counts.begin(), counts.end(), int64_t{0}) + 1;
  // Let k be the number of the next sequence and s = 1 / (2n - 2) the slack. A source lags behind its quota w k by
  // w k - count. Among the sources whose lag is at least s, take the one whose lag would reach 1 - s first, that is,
  // the one with the smallest deadline (1 - s - lag) / w. All quantities are in units of 2^-62.
  const Wide slack = num_drawn_ > 1 ? kOne / (2 * num_drawn_ - 2) : 0;
  int best = -1;
  long double best_deadline = 0;
  for (size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i] == 0) continue;
    const Wide lag = weights_[i] * k - counts[i] * Wide{kOne};
    if (lag < slack) continue;
    const long double deadline = static_cast<long double>(kOne - slack - lag) / static_cast<long double>(weights_[i]);
    if (best < 0 || deadline < best_deadline) {
      best = static_cast<int>(i);
      best_deadline = deadline;
    }
  }
  BK_ASSERT(best >= 0, "no source is behind its quota");
  return best;
}

}  // namespace birkhoff

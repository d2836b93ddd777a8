#include "trainer/optim/spike.h"

#include <algorithm>
#include <cmath>

namespace birkhoff {
// A resumed run may have another window than the run that filled the ring.
void SpikeDetector::fit_window() {
  const int64_t n = static_cast<int64_t>(losses_.size()), surplus = n - options_.window;
  if (surplus == 0 || (surplus < 0 && next_ == 0)) return;
  std::rotate(losses_.begin(), losses_.begin() + next_, losses_.end());  // the oldest loss first
  next_ = 0;
  if (surplus > 0) losses_.erase(losses_.begin(), losses_.begin() + surplus);
}

bool SpikeDetector::is_spike(double loss) {
  if (options_.z_score <= 0) return false;
  fit_window();
  const int64_t n = static_cast<int64_t>(losses_.size());
  if (2 * n >= options_.window) {
    double mean = 0, variance = 0;
    for (double l : losses_) mean += l / static_cast<double>(n);
    for (double l : losses_) variance += (l - mean) * (l - mean) / static_cast<double>(n);
    // If all losses are equal, the deviation is only a rounding error. Without a lower bound, any change would then be
    // a spike.
    const double deviation = std::max(std::sqrt(variance), 1e-6 * std::abs(mean));
    if (loss - mean > options_.z_score * deviation) return true;
  }
  if (n < options_.window) {
    losses_.push_back(loss);
  } else {
    losses_[static_cast<size_t>(next_)] = loss;
    next_ = (next_ + 1) % n;
  }
  return false;
}

void SpikeDetector::state(StateVisitor& v) {
  int64_t count = static_cast<int64_t>(losses_.size());
  visit_count(v, "spike.count", count, kMaxSpikeWindow);
  visit_count(v, "spike.next", next_, std::max<int64_t>(count - 1, 0));
  losses_.resize(static_cast<size_t>(count));
  for (size_t i = 0; i < losses_.size(); ++i) v.real("spike.loss." + std::to_string(i), losses_[i]);
}

}  // namespace birkhoff

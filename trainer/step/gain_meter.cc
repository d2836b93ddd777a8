#include "trainer/step/gain_meter.h"

#include <algorithm>
#include <array>

#include "kernels/core/seeded_defect.h"
#include "kernels/hyper/gain.h"
#include "parallel/comm/host_values.h"

namespace birkhoff {

void GainMeter::clear() {
  combs_.clear();
  ended_.clear();
  sums_.clear();
}

void GainMeter::enter(size_t microbatch) {
  microbatch_ = microbatch;
  Instrument::enter(microbatch);
}

void GainMeter::will_mix(Tensor comb) {
  if (!ended_.contains(microbatch_)) combs_[microbatch_].push_back(comb);
  Instrument::will_mix(comb);
}

void GainMeter::end_blocks(Stream& stream, Tensor token_mask) {
  ended_.insert(microbatch_);
  const std::vector<Tensor> combs = std::exchange(combs_[microbatch_], {});
  if (!combs.empty()) {
    sums_.push_back(memory_->take(DType::f64, {3}));
    hyper_gain(stream, {sums_.back(), combs, token_mask});
  }
  Instrument::end_blocks(stream, token_mask);
}

std::optional<std::pair<double, double>> GainMeter::largest(Numbers sums, Communicator& token_group,
                                                            Communicator& world) const {
  if (sums.empty()) return std::nullopt;
  std::vector<double> all;
  for (const std::vector<double>& sum : sums) all.insert(all.end(), sum.begin(), sum.end());
  if (!BK_DEFECT("D30 gain of the rank's tokens")) all_reduce_on_host(token_group, std::span<double>(all));
  // The mean has the precision of a statistic: f32, except on the reference device.
  const bool exact = memory_->device().kind == DeviceKind::reference;
  std::array<double, 2> largest{};
  for (size_t m = 0; m < all.size(); m += 3) {
    const double tokens = all[m + 2];
    for (size_t i = 0; i < 2; ++i) {
      const double mean = tokens > 0 ? all[m + i] / tokens : 0;
      largest[i] = std::max(largest[i], exact ? mean : static_cast<double>(static_cast<float>(mean)));
    }
  }
  // Gains are largest values, not sums, so unlike losses they are combined by max.
  all_reduce_on_host(world, std::span<double>(largest), Reduce::max);
  return std::pair{largest[0], largest[1]};
}

}  // namespace birkhoff

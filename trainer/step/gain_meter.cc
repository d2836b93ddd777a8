#include "trainer/step/gain_meter.h"

#include <algorithm>
#include <array>

#include "kernels/hyper/gain.h"
#include "parallel/comm/host_values.h"

namespace birkhoff {

void GainMeter::clear() {
  combs_.clear();
  ended_.clear();
  gains_.clear();
}

void GainMeter::enter(size_t microbatch) {
  microbatch_ = microbatch;
  Instrument::enter(microbatch);
}

void GainMeter::will_mix(Tensor comb) {
  if (!ended_.contains(microbatch_)) combs_[microbatch_].push_back(comb);
  Instrument::will_mix(comb);
}

void GainMeter::end_blocks(Stream& stream) {
  ended_.insert(microbatch_);
  const std::vector<Tensor> combs = std::exchange(combs_[microbatch_], {});
  if (!combs.empty()) {
    gains_.push_back(memory_->take(DType::f32, {2}));
    hyper_gain(stream, {gains_.back(), combs});
  }
  Instrument::end_blocks(stream);
}

std::optional<std::pair<double, double>> GainMeter::largest(Numbers gains, Communicator& world) {
  if (gains.empty()) return std::nullopt;
  std::array<double, 2> largest{};
  for (const std::vector<double>& gain : gains) {
    for (size_t i = 0; i < 2; ++i) largest[i] = std::max(largest[i], gain[i]);
  }
  // Gains are largest values, not sums, so unlike losses they are combined by max.
  all_reduce_on_host(world, std::span<double>(largest), Reduce::max);
  return std::pair{largest[0], largest[1]};
}

}  // namespace birkhoff

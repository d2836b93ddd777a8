#include "trainer/step/gain_meter.h"

#include <algorithm>
#include <array>

#include "kernels/gemm/precision.h"
#include "kernels/hyper/gain.h"
#include "parallel/comm/host_values.h"

namespace birkhoff {

void GainMeter::begin(size_t microbatch) {
  mixing_.reset();
  combs_.clear();
  collects_ = true;
  Instrument::begin(microbatch);
}

Tensor GainMeter::take_mixing(Shape shape) {
  const Tensor comb = mixing_.take(Precision::statistic(), shape);
  if (collects_) combs_.push_back(comb);
  return comb;
}

void GainMeter::end_blocks(Stream& stream, Arena& memory) {
  collects_ = false;
  if (combs_.empty()) return;
  gains_.push_back(memory.take(DType::f32, {2}));
  hyper_gain(stream, {gains_.back(), combs_});
}

std::optional<std::pair<double, double>> GainMeter::largest(Numbers gains, Communicator& world) {
  if (gains.empty()) return std::nullopt;
  std::array<double, 2> largest{};
  for (const std::vector<double>& gain : gains) {
    for (size_t i = 0; i < 2; ++i) largest[i] = std::max(largest[i], gain[i]);
  }
  all_reduce_on_host(world, std::span<double>(largest), Reduce::max);
  return std::pair{largest[0], largest[1]};
}

}  // namespace birkhoff

#include "trainer/step/gain_meter.h"

#include <algorithm>

#include "kernels/elementwise/copy.h"
#include "kernels/hyper/gain.h"

namespace birkhoff {

void GainMeter::add(Stream& stream, Arena& scratch, Decoder& decoder, Frame& frame) {
  const std::vector<Tensor> combs = decoder.combs(frame);
  if (combs.empty()) return;
  const ArenaScope scope(scratch);
  const Tensor gain = scratch.take(DType::f32, {2});
  hyper_gain(stream, {gain, combs});
  const std::vector<double> values = read_values(stream, gain);
  largest_.resize(2, 0);
  for (size_t i = 0; i < 2; ++i) largest_[i] = std::max(largest_[i], values[i]);
}

std::optional<std::pair<double, double>> GainMeter::reduce(Stream& stream, Communicator& replicas) {
  if (largest_.empty()) return std::nullopt;
  replicas.all_reduce({largest_.data(), DType::f64, {2}}, Reduce::max)->wait(stream);
  return std::pair{largest_[0], largest_[1]};
}

}  // namespace birkhoff

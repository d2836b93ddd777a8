#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/core/random.h"
#include "kernels/rope/rope.h"

namespace birkhoff {
namespace {

// The (fractional) pair that makes `turns` turns over the original length.
double pair_of_turns(const RopeOptions& o, double turns) {
  const double wavelength = static_cast<double>(o.yarn.original_length) / (turns * 2 * std::numbers::pi);
  return static_cast<double>(o.dims) * std::log(wavelength) / (2 * std::log(o.theta));
}

}  // namespace

double rope_frequency(const RopeOptions& o, int64_t pair) {
  const double plain = std::pow(o.theta, -2.0 * static_cast<double>(pair) / static_cast<double>(o.dims));
  if (o.yarn.factor <= 1) return plain;
  const double last = static_cast<double>(o.dims - 1);
  const double low = std::clamp(std::floor(pair_of_turns(o, o.yarn.beta_fast)), 0.0, last);
  double high = std::clamp(std::ceil(pair_of_turns(o, o.yarn.beta_slow)), 0.0, last);
  if (low == high) high += 0.001;
  const double ramp = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
  return plain / o.yarn.factor * ramp + plain * (1 - ramp);
}

double rope_attention_factor(const YarnOptions& yarn) {
  if (yarn.factor <= 1) return 1;
  const double mscale = 0.1 * yarn.mscale * std::log(yarn.factor) + 1;
  return mscale * mscale;
}

Tensor make_rope_table(Stream& stream, Arena& arena, const RopeOptions& o, int64_t length) {
  const int64_t pairs = o.dims / 2;
  const Tensor table = arena.take(DType::f32, {length, pairs, 2});
  if (stream.device.kind == DeviceKind::meta) return table;
  std::vector<double> values(static_cast<size_t>(table.count()));
  for (int64_t i = 0; i < pairs; ++i) {
    const double frequency = rope_frequency(o, i);
    for (int64_t p = 0; p < length; ++p) {
      const double angle = static_cast<double>(p) * frequency;
      values[static_cast<size_t>((p * pairs + i) * 2)] = std::cos(angle);
      values[static_cast<size_t>((p * pairs + i) * 2 + 1)] = std::sin(angle);
    }
  }
  from_doubles(stream, table, values.data());
  return table;
}

}  // namespace birkhoff

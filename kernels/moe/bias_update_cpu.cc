#include "kernels/moe/bias_update.h"

namespace birkhoff::cpu {
namespace {

// Compares E * load with the total instead of load with the mean, so that the sign is exact for integer loads. Loads in
// f32 are compared in f64.
template <class Total, class Load>
void update(float* bias, const Load* load, int64_t E, float speed) {
  Total total = 0;
  for (int64_t e = 0; e < E; ++e) total += static_cast<Total>(load[e]);
  for (int64_t e = 0; e < E; ++e) {
    const Total own = static_cast<Total>(load[e]) * static_cast<Total>(E);
    bias[e] += speed * static_cast<float>((total > own) - (total < own));
  }
}

}  // namespace

void router_bias_update(const RouterBiasUpdateArgs& a) {
  const auto speed = static_cast<float>(a.speed);
  if (a.load.dtype == DType::i64) return update<int64_t>(a.bias.f32(), a.load.as<int64_t>(), a.bias.count(), speed);
  update<double>(a.bias.f32(), a.load.f32(), a.bias.count(), speed);
}

}  // namespace birkhoff::cpu

#include "kernels/moe/bias_update.h"

namespace birkhoff::reference {

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

}  // namespace birkhoff::reference

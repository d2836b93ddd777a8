#include "kernels/hyper/streams.h"

namespace birkhoff::reference {

void hyper_expand(const HyperExpandArgs& a) {
  const int64_t S = a.x.shape[1], C = a.x.shape[2];
  for (int64_t k = 0; k < a.x.count(); ++k) {
    a.x.as<double>()[k] = a.factor * a.h.as<double>()[k / (S * C) * C + k % C];
  }
}

void hyper_collapse(const HyperCollapseArgs& a) {
  const int64_t S = a.x.shape[1], C = a.x.shape[2];
  for (int64_t k = 0; k < a.h.count(); ++k) {
    double sum = 0;
    for (int64_t i = 0; i < S; ++i) sum += a.x.as<double>()[(k / C * S + i) * C + k % C];
    a.h.as<double>()[k] = a.factor * sum;
  }
}

}  // namespace birkhoff::reference

#include "kernels/hyper/read.h"

namespace birkhoff::reference {

void hyper_read_forward(const HyperReadArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t c = 0; c < C; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < S; ++i) sum += a.pre.as<double>()[t * S + i] * a.x.as<double>()[(t * S + i) * C + c];
      a.h.as<double>()[t * C + c] = sum;
    }
  }
}

void hyper_read_backward(const HyperReadBackwardArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  for (int64_t row = 0; row < T * S; ++row) {
    const double *x = a.x.as<double>() + row * C, *dh = a.dh.as<double>() + row / S * C;
    double dpre = 0;
    for (int64_t c = 0; c < C; ++c) {
      dpre += dh[c] * x[c];
      a.dx.as<double>()[row * C + c] += a.pre.as<double>()[row] * dh[c];
    }
    a.dpre.as<double>()[row] = dpre;
  }
}

}  // namespace birkhoff::reference

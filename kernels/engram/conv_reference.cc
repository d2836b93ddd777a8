#include <cmath>
#include <vector>

#include "kernels/engram/conv.h"

namespace birkhoff::reference {
namespace {

// The convolution's argument at token t and flat channel q = s*C + c.
template <class Args>
double argument(const Args& a, int64_t t, int64_t q) {
  const int64_t S = a.x.shape[1], C = a.x.shape[2], K = a.weight.shape[2];
  double z = 0;
  for (int64_t k = 0; k < K; ++k) {
    const int64_t from = t - (K - 1 - k) * a.dilation;
    if (from < a.document_start.template as<int32_t>()[t]) continue;
    z += a.weight.template as<double>()[q * K + k] * a.x.template as<double>()[from * S * C + q] *
         a.rstd.template as<double>()[from * S + q / C] * a.gain.template as<double>()[q];
  }
  return z;
}

}  // namespace

void engram_conv_forward(const EngramConvArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  for (int64_t row = 0; row < T * S; ++row) {
    double squares = 0;
    for (int64_t c = 0; c < C; ++c) squares += a.x.as<double>()[row * C + c] * a.x.as<double>()[row * C + c];
    a.rstd.as<double>()[row] = 1 / std::sqrt(squares / static_cast<double>(C) + a.eps);
  }
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t q = 0; q < S * C; ++q) {
      const double z = argument(a, t, q);
      a.out.as<double>()[t * S * C + q] += z / (1 + std::exp(-z));
    }
  }
}

void engram_conv_backward(const EngramConvBackwardArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2], N = S * C, K = a.weight.shape[2];
  const double *x = a.x.as<double>(), *gain = a.gain.as<double>(), *rstd = a.rstd.as<double>();
  std::vector<double> dn(static_cast<size_t>(T * N), 0.0);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t q = 0; q < N; ++q) {
      const double z = argument(a, t, q), s = 1 / (1 + std::exp(-z));
      const double dz = a.dout.as<double>()[t * N + q] * s * (1 + z * (1 - s));
      for (int64_t k = 0; k < K; ++k) {
        const int64_t from = t - (K - 1 - k) * a.dilation;
        if (from < a.document_start.as<int32_t>()[t]) continue;
        dn[static_cast<size_t>(from * N + q)] += dz * a.weight.as<double>()[q * K + k];
        a.dweight.as<double>()[q * K + k] += dz * x[from * N + q] * rstd[from * S + q / C] * gain[q];
      }
    }
  }
  for (int64_t row = 0; row < T * S; ++row) {
    const double* d = dn.data() + row * C;
    const double *xs = x + row * C, *g = gain + row % S * C;
    double dot = 0;
    for (int64_t c = 0; c < C; ++c) dot += d[c] * g[c] * xs[c];
    for (int64_t c = 0; c < C; ++c) {
      a.dgain.as<double>()[row % S * C + c] += d[c] * xs[c] * rstd[row];
      a.dx.as<double>()[row * C + c] =
          rstd[row] * (d[c] * g[c] - xs[c] * dot * rstd[row] * rstd[row] / static_cast<double>(C));
    }
  }
}

}  // namespace birkhoff::reference

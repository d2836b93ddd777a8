#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/engram/conv.h"
#include "kernels/engram/e4m3.h"
#include "kernels/engram/fp8_rows.h"
#include "kernels/engram/gate.h"
#include "kernels/engram/rows.h"

namespace birkhoff::reference {

namespace {

// The first row of x that the token in row t may see.
template <class Args>
int64_t first_seen(const Args& a, int64_t t) {
  return std::max(a.document_start.template as<int32_t>()[t], 0);
}

// z of conv.h at the token in row t of x and flat channel q = s*C + c.
template <class Args>
double convolution(const Args& a, int64_t t, int64_t q) {
  const int64_t S = a.x.shape[1], C = a.x.shape[2], K = a.weight.shape[2];
  double z = 0;
  for (int64_t k = 0; k < K; ++k) {
    const int64_t from = t - (K - 1 - k) * a.dilation;
    if (from < first_seen(a, t)) continue;
    z += a.weight.template as<double>()[q * K + k] * a.x.template as<double>()[from * S * C + q] *
         a.rstd.template as<double>()[from * S + q / C] * a.gain.template as<double>()[q];
  }
  return z;
}

}  // namespace

void engram_conv_forward(const EngramConvArgs& a) {
  const int64_t rows = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  for (int64_t row = 0; row < rows * S; ++row) {
    double squares = 0;
    for (int64_t c = 0; c < C; ++c) squares += a.x.as<double>()[row * C + c] * a.x.as<double>()[row * C + c];
    a.rstd.as<double>()[row] = 1 / std::sqrt(squares / static_cast<double>(C) + a.eps);
  }
  for (int64_t t = a.halo; t < rows; ++t) {
    for (int64_t q = 0; q < S * C; ++q) {
      const double z = convolution(a, t, q);
      a.out.as<double>()[(t - a.halo) * S * C + q] += z / (1 + std::exp(-z));
    }
  }
}

void engram_conv_backward(const EngramConvBackwardArgs& a) {
  const int64_t rows = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2], N = S * C, K = a.weight.shape[2];
  const double *x = a.x.as<double>(), *gain = a.gain.as<double>(), *rstd = a.rstd.as<double>();
  std::vector<double> dn(static_cast<size_t>(rows * N), 0.0);
  for (int64_t t = a.halo; t < rows; ++t) {
    for (int64_t q = 0; q < N; ++q) {
      const double z = convolution(a, t, q), s = 1 / (1 + std::exp(-z));
      const double dz = a.dout.as<double>()[(t - a.halo) * N + q] * s * (1 + z * (1 - s));
      for (int64_t k = 0; k < K; ++k) {
        const int64_t from = t - (K - 1 - k) * a.dilation;
        if (from < first_seen(a, t)) continue;
        dn[static_cast<size_t>(from * N + q)] += dz * a.weight.as<double>()[q * K + k];
        a.dweight.as<double>()[q * K + k] += dz * x[from * N + q] * rstd[from * S + q / C] * gain[q];
      }
    }
  }
  for (int64_t row = 0; row < rows * S; ++row) {
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

void fp8_rows_decode(const Fp8RowsArgs& a) {
  for (int64_t k = 0; k < a.bytes.count(); ++k) {
    const int64_t block = a.bytes.shape[1] / a.scales.shape[1];
    a.rows.as<double>()[k] = e4m3_value(a.bytes.as<uint8_t>()[k]) * ue8m0_value(a.scales.as<uint8_t>()[k / block]);
  }
}

void engram_gate_forward(const EngramGateArgs& a) {
  const int64_t T = a.h.shape[0], S = a.h.shape[1], C = a.h.shape[2];
  const double channels = static_cast<double>(C);
  for (int64_t t = 0; t < T; ++t) {
    const double *kv = a.kv.as<double>() + t * (S + 1) * C, *v = kv + S * C;
    for (int64_t s = 0; s < S; ++s) {
      const int64_t row = t * S + s;
      const double *h = a.h.as<double>() + row * C, *k = kv + s * C;
      double hh = 0, kk = 0, hk = 0;
      for (int64_t c = 0; c < C; ++c) {
        hh += h[c] * h[c];
        kk += k[c] * k[c];
        hk += h[c] * a.w_h.as<double>()[s * C + c] * k[c] * a.w_k.as<double>()[s * C + c];
      }
      const double rstd_h = 1 / std::sqrt(hh / channels + a.options.eps);
      const double rstd_k = 1 / std::sqrt(kk / channels + a.options.eps);
      const double score = hk * rstd_h * rstd_k / std::sqrt(channels);
      const double magnitude = std::max(std::abs(score), a.options.clamp);
      const double logit = a.options.root ? std::copysign(std::sqrt(magnitude), score) : score;
      const bool on = !a.mask.present() || a.mask.as<uint8_t>()[t] != 0;
      const double gate = on ? 1 / (1 + std::exp(-logit)) : 0;
      for (int64_t c = 0; c < C; ++c) {
        if (a.value.present()) a.value.as<double>()[row * C + c] = gate * v[c];
        a.out.as<double>()[row * C + c] = h[c] + gate * v[c];
      }
      a.rstd_h.as<double>()[row] = rstd_h;
      a.rstd_k.as<double>()[row] = rstd_k;
      a.score.as<double>()[row] = score;
      a.gate.as<double>()[row] = gate;
    }
  }
}

void engram_gate_backward(const EngramGateBackwardArgs& a) {
  const int64_t T = a.h.shape[0], S = a.h.shape[1], C = a.h.shape[2];
  const double channels = static_cast<double>(C);
  const double *w_h = a.w_h.as<double>(), *w_k = a.w_k.as<double>();
  for (int64_t t = 0; t < T; ++t) {
    const double *kv = a.kv.as<double>() + t * (S + 1) * C, *v = kv + S * C;
    double *dkv = a.dkv.as<double>() + t * (S + 1) * C, *dv = dkv + S * C;
    std::fill_n(dv, C, 0.0);
    for (int64_t s = 0; s < S; ++s) {
      const int64_t row = t * S + s;
      const double *h = a.h.as<double>() + row * C, *k = kv + s * C, *dout = a.dout.as<double>() + row * C;
      const double gate = a.gate.as<double>()[row], score = a.score.as<double>()[row];
      const double rstd_h = a.rstd_h.as<double>()[row], rstd_k = a.rstd_k.as<double>()[row];
      double dgate = 0;
      for (int64_t c = 0; c < C; ++c) {
        const double d = dout[c] + (a.dvalue.present() ? a.dvalue.as<double>()[row * C + c] : 0);
        dgate += d * v[c];
        dv[c] += gate * d;
      }
      const bool clamped = std::abs(score) < a.options.clamp;
      const double slope = !a.options.root ? 1 : clamped ? 0 : 1 / (2 * std::sqrt(std::abs(score)));
      const double dscore = dgate * gate * (1 - gate) * slope;
      const double unit = rstd_h * rstd_k / std::sqrt(channels);
      for (int64_t c = 0; c < C; ++c) {
        const double w = w_h[s * C + c] * w_k[s * C + c], dw = dscore * unit * h[c] * k[c];
        a.dw_h.as<double>()[s * C + c] += dw * w_k[s * C + c];
        a.dw_k.as<double>()[s * C + c] += dw * w_h[s * C + c];
        dkv[s * C + c] = dscore * (unit * h[c] * w - k[c] * score * rstd_k * rstd_k / channels);
        a.dh.as<double>()[row * C + c] =
            dout[c] + dscore * (unit * k[c] * w - h[c] * score * rstd_h * rstd_h / channels);
      }
    }
  }
}

void engram_gather_forward(const EngramGatherArgs& a) {
  const int64_t U = a.rows.shape[0], D = a.rows.shape[1];
  for (int64_t slot = 0; slot < a.index.count(); ++slot) {
    const int64_t u = a.index.as<int32_t>()[slot];
    BK_ASSERT(u >= 0 && u < U, "row ", u, " of ", U);
    for (int64_t d = 0; d < D; ++d) a.e.as<double>()[slot * D + d] = a.rows.as<double>()[u * D + d];
  }
}

void engram_gather_backward(const EngramGatherBackwardArgs& a) {
  const int64_t U = a.drows.shape[0], D = a.drows.shape[1];
  for (int64_t slot = 0; slot < a.index.count(); ++slot) {
    const int64_t u = a.index.as<int32_t>()[slot];
    BK_ASSERT(u >= 0 && u < U, "row ", u, " of ", U);
    for (int64_t d = 0; d < D; ++d) a.drows.as<double>()[u * D + d] += a.de.as<double>()[slot * D + d];
  }
}

}  // namespace birkhoff::reference

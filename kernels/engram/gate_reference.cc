#include <algorithm>
#include <cmath>

#include "kernels/engram/gate.h"

namespace birkhoff::reference {

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

}  // namespace birkhoff::reference

#include <algorithm>
#include <cmath>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/engram/conv.h"

namespace birkhoff::cpu {
namespace {

// The convolution over [T, N] flat channels, N = S*C.
struct Taps {
  int64_t T, S, C, N, K, dilation;
  const int32_t* document_start;
  template <class Args>
  explicit Taps(const Args& a)
      : T(a.x.shape[0]),
        S(a.x.shape[1]),
        C(a.x.shape[2]),
        N(S * C),
        K(a.weight.shape[2]),
        dilation(a.dilation),
        document_start(a.document_start.template as<int32_t>()) {}

  // Calls body(k, from) for each tap k that token t sees.
  template <class Body>
  void for_sources(int64_t t, Body body) const {
    for (int64_t k = 0; k < K; ++k) {
      const int64_t from = t - (K - 1 - k) * dilation;
      if (from >= document_start[t]) body(k, from);
    }
  }
  // Calls body(k, to) for each token that sees t through tap k.
  template <class Body>
  void for_targets(int64_t t, Body body) const {
    for (int64_t k = 0; k < K; ++k) {
      const int64_t to = t + (K - 1 - k) * dilation;
      if (to < T && document_start[to] <= t) body(k, to);
    }
  }
  int64_t tokens_per_thread() const { return 1 + 4096 / std::max<int64_t>(N, 1); }
};

// z[q] of token t.
template <class E, class Args>
void arguments(float* z, const Args& a, const Taps& n, int64_t t) {
  std::fill_n(z, n.N, 0.0f);
  n.for_sources(t, [&](int64_t k, int64_t from) {
    const E* x = a.x.template as<E>() + from * n.N;
    const float* rstd = a.rstd.f32() + from * n.S;
    for (int64_t q = 0; q < n.N; ++q) {
      z[q] += a.weight.f32()[q * n.K + k] * static_cast<float>(x[q]) * rstd[q / n.C] * a.gain.f32()[q];
    }
  });
}

// dn of every token, and dx from it.
template <class E>
void input_gradient(const EngramConvBackwardArgs& a, const Taps& n, float* dn, const float* dz, int64_t t) {
  std::fill_n(dn, n.N, 0.0f);
  n.for_targets(t, [&](int64_t k, int64_t to) {
    for (int64_t q = 0; q < n.N; ++q) dn[q] += dz[to * n.N + q] * a.weight.f32()[q * n.K + k];
  });
  for (int64_t s = 0; s < n.S; ++s) {
    const float *gain = a.gain.f32() + s * n.C, *d = dn + s * n.C, rstd = a.rstd.f32()[t * n.S + s];
    const E* x = a.x.as<E>() + t * n.N + s * n.C;
    E* dx = a.dx.as<E>() + t * n.N + s * n.C;
    float dot = 0;
    for (int64_t c = 0; c < n.C; ++c) dot += d[c] * gain[c] * static_cast<float>(x[c]);
    const float shrink = dot * rstd * rstd / static_cast<float>(n.C);
    for (int64_t c = 0; c < n.C; ++c) dx[c] = E(rstd * (d[c] * gain[c] - static_cast<float>(x[c]) * shrink));
  }
}

// dgain and dweight of channels [begin, end), tokens in ascending order.
template <class E>
void weight_gradients(const EngramConvBackwardArgs& a, const Taps& n, const float* dn, const float* dz, int64_t begin,
                      int64_t end) {
  for (int64_t t = 0; t < n.T; ++t) {
    const E* x = a.x.as<E>();
    const float *rstd = a.rstd.f32(), *gain = a.gain.f32();
    for (int64_t q = begin; q < end; ++q) {
      a.dgain.f32()[q] += dn[t * n.N + q] * static_cast<float>(x[t * n.N + q]) * rstd[t * n.S + q / n.C];
    }
    n.for_sources(t, [&](int64_t k, int64_t from) {
      for (int64_t q = begin; q < end; ++q) {
        a.dweight.f32()[q * n.K + k] +=
            dz[t * n.N + q] * static_cast<float>(x[from * n.N + q]) * rstd[from * n.S + q / n.C] * gain[q];
      }
    });
  }
}

}  // namespace

void engram_conv_forward(const EngramConvArgs& a) {
  const Taps n(a);
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(n.T * n.S, 1 + 4096 / std::max<int64_t>(n.C, 1), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const E* x = a.x.as<E>() + row * n.C;
        float squares = 0;
        for (int64_t c = 0; c < n.C; ++c) squares += static_cast<float>(x[c]) * static_cast<float>(x[c]);
        a.rstd.f32()[row] = 1 / std::sqrt(squares / static_cast<float>(n.C) + a.eps);
      }
    });
    parallel_for(n.T, n.tokens_per_thread(), [&](int64_t begin, int64_t end) {
      Scratch<float> z(n.N);
      for (int64_t t = begin; t < end; ++t) {
        arguments<E>(z.data(), a, n, t);
        E* out = a.out.as<E>() + t * n.N;
        for (int64_t q = 0; q < n.N; ++q) out[q] = E(static_cast<float>(out[q]) + z[q] / (1 + std::exp(-z[q])));
      }
    });
  });
}

void engram_conv_backward(const EngramConvBackwardArgs& a) {
  const Taps n(a);
  Scratch<float> dz(n.T * n.N), dn(n.T * n.N);
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(n.T, n.tokens_per_thread(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        float* row = dz.data() + t * n.N;
        arguments<E>(row, a, n, t);
        for (int64_t q = 0; q < n.N; ++q) {
          const float s = 1 / (1 + std::exp(-row[q]));
          row[q] = static_cast<float>(a.dout.as<E>()[t * n.N + q]) * s * (1 + row[q] * (1 - s));
        }
      }
    });
    parallel_for(n.T, n.tokens_per_thread(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) input_gradient<E>(a, n, dn.data() + t * n.N, dz.data(), t);
    });
    parallel_for(n.N, 64,
                 [&](int64_t begin, int64_t end) { weight_gradients<E>(a, n, dn.data(), dz.data(), begin, end); });
  });
}

}  // namespace birkhoff::cpu

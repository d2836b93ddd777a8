#include <algorithm>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/engram/conv.h"
#include "kernels/engram/engram_simd.h"

namespace birkhoff::cpu {
namespace {

template <class T>
const EngramConvRows<T>& kernels() {
  static const auto rows = on_best_isa([]<Isa isa>() { return engram_conv_rows<isa, T>(); });
  return rows;
}

// The convolution over [rows, N] flat channels, N = S*C. Tokens are numbered by their rows of x, so the first token
// with an output is `halo`.
struct Taps {
  int64_t rows, halo, S, C, N, K, dilation;
  const int32_t* document_start;
  template <class Args>
  explicit Taps(const Args& a)
      : rows(a.x.shape[0]),
        halo(a.halo),
        S(a.x.shape[1]),
        C(a.x.shape[2]),
        N(S * C),
        K(a.weight.shape[2]),
        dilation(a.dilation),
        document_start(a.document_start.template as<int32_t>()) {}

  // Calls body(k, from) for each tap k of token t that reaches a token `from` of the same document.
  template <class Body>
  void for_sources(int64_t t, Body body) const {
    const int64_t first = std::max(document_start[t], 0);
    for (int64_t k = 0; k < K; ++k) {
      const int64_t from = t - (K - 1 - k) * dilation;
      if (from >= first) body(k, from);
    }
  }
  // Calls body(k, to) for each token with an output that sees t through tap k.
  template <class Body>
  void for_targets(int64_t t, Body body) const {
    for (int64_t k = 0; k < K; ++k) {
      const int64_t to = t + (K - 1 - k) * dilation;
      if (to >= halo && to < rows && document_start[to] <= t) body(k, to);
    }
  }
  // The offset of the row of token t in a tensor that has rows only for tokens with an output.
  int64_t output_at(int64_t t) const { return (t - halo) * N; }
  int64_t tokens_per_thread() const { return 1 + 4096 / std::max<int64_t>(N, 1); }
};

// The weights transposed to [K, N], without and with the gain multiplied in.
struct TapWeights {
  Scratch<float> plain, gained;
  TapWeights(const Tensor& weight, const Tensor& gain, const Taps& n) : plain(n.K * n.N), gained(n.K * n.N) {
    for (int64_t q = 0; q < n.N; ++q) {
      for (int64_t k = 0; k < n.K; ++k) {
        plain[k * n.N + q] = weight.f32()[q * n.K + k];
        gained[k * n.N + q] = weight.f32()[q * n.K + k] * gain.f32()[q];
      }
    }
  }
};

// Computes z of token t.
template <class E, class Args>
void convolve(float* z, const Args& a, const Taps& n, TapWeights& w, int64_t t) {
  std::fill_n(z, n.N, 0.0f);
  n.for_sources(t, [&](int64_t k, int64_t from) {
    for (int64_t s = 0; s < n.S; ++s) {
      kernels<E>().add_tap(z + s * n.C, a.x.template as<E>() + from * n.N + s * n.C, &w.gained[k * n.N + s * n.C],
                           a.rstd.f32()[from * n.S + s], n.C);
    }
  });
}

// Computes dn of token t and, from it, dx.
template <class E>
void input_gradient(const EngramConvBackwardArgs& a, const Taps& n, TapWeights& w, float* dn, const float* dz,
                    int64_t t) {
  std::fill_n(dn, n.N, 0.0f);
  n.for_targets(
      t, [&](int64_t k, int64_t to) { kernels<E>().add_product(dn, dz + n.output_at(to), &w.plain[k * n.N], n.N); });
  for (int64_t s = 0; s < n.S; ++s) {
    const int64_t at = t * n.N + s * n.C;
    kernels<E>().input_gradient(a.dx.as<E>() + at, dn + s * n.C, a.x.as<E>() + at, a.gain.f32() + s * n.C,
                                a.rstd.f32()[t * n.S + s], n.C);
  }
}

// Adds to dgain and dweight of channels [begin, end), which lie in one stream. Adds the tokens in ascending order.
template <class E>
void weight_gradients(const EngramConvBackwardArgs& a, const Taps& n, const float* dn, const float* dz, int64_t begin,
                      int64_t end) {
  const int64_t s = begin / n.C, width = end - begin;
  const E* x = a.x.as<E>() + begin;
  const float* rstd = a.rstd.f32() + s;
  Scratch<float> taps(n.K * width, 0.0f);
  for (int64_t t = 0; t < n.rows; ++t) {
    kernels<E>().add_tap(a.dgain.f32() + begin, x + t * n.N, dn + t * n.N + begin, rstd[t * n.S], width);
    if (t < n.halo) continue;
    n.for_sources(t, [&](int64_t k, int64_t from) {
      kernels<E>().add_tap(&taps[k * width], x + from * n.N, dz + n.output_at(t) + begin, rstd[from * n.S], width);
    });
  }
  for (int64_t q = 0; q < width; ++q) {
    for (int64_t k = 0; k < n.K; ++k) {
      a.dweight.f32()[(begin + q) * n.K + k] += taps[k * width + q] * a.gain.f32()[begin + q];
    }
  }
}

}  // namespace

void engram_conv_forward(const EngramConvArgs& a) {
  const Taps n(a);
  TapWeights weights(a.weight, a.gain, n);
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(n.rows * n.S, 1 + 4096 / std::max<int64_t>(n.C, 1), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        a.rstd.f32()[row] = kernels<E>().rstd(a.x.as<E>() + row * n.C, n.C, static_cast<float>(a.eps));
      }
    });
    parallel_for(n.rows - n.halo, n.tokens_per_thread(), [&](int64_t begin, int64_t end) {
      Scratch<float> z(n.N);
      for (int64_t t = n.halo + begin; t < n.halo + end; ++t) {
        convolve<E>(z.data(), a, n, weights, t);
        kernels<E>().add_silu(a.out.as<E>() + n.output_at(t), z.data(), n.N);
      }
    });
  });
}

void engram_conv_backward(const EngramConvBackwardArgs& a) {
  const Taps n(a);
  TapWeights weights(a.weight, a.gain, n);
  const int64_t outputs = n.rows - n.halo;
  Scratch<float> dz(outputs * n.N), dn(n.rows * n.N);
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(outputs, n.tokens_per_thread(), [&](int64_t begin, int64_t end) {
      for (int64_t t = n.halo + begin; t < n.halo + end; ++t) {
        float* z = &dz[n.output_at(t)];
        convolve<E>(z, a, n, weights, t);
        kernels<E>().silu_gradient(z, a.dout.as<E>() + n.output_at(t), n.N);
      }
    });
    parallel_for(n.rows, n.tokens_per_thread(), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) input_gradient<E>(a, n, weights, &dn[t * n.N], dz.data(), t);
    });
    // Each thread owns whole columns of one stream, so no partial sums are needed.
    constexpr int64_t kColumns = 128;
    const int64_t blocks = (n.C + kColumns - 1) / kColumns;
    parallel_for(n.S * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const int64_t first = block / blocks * n.C, c = block % blocks * kColumns;
        weight_gradients<E>(a, n, dn.data(), dz.data(), first + c, first + std::min(c + kColumns, n.C));
      }
    });
  });
}

}  // namespace birkhoff::cpu

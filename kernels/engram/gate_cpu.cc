#include <algorithm>
#include <cmath>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/engram/engram_simd.h"
#include "kernels/engram/gate.h"

namespace birkhoff::cpu {
namespace {

// Tokens of one partial sum of dw. The number is fixed, so the order of summation does not depend on the number of
// threads.
constexpr int64_t kTokensPerPart = 64;

template <class T>
const EngramGateRow<T>& kernels() {
  static const auto row = on_best_isa([]<Isa isa>() { return engram_gate_row<isa, T>(); });
  return row;
}

// w = w_h w_k: the score depends on the two weights only through their product.
void multiply(float* w, const Tensor& w_h, const Tensor& w_k) {
  for (int64_t k = 0; k < w_h.count(); ++k) w[k] = w_h.f32()[k] * w_k.f32()[k];
}

float gate_of(float score, const EngramGateOptions& o) {
  const float logit =
      o.root ? std::copysign(std::sqrt(std::max(std::abs(score), static_cast<float>(o.clamp))), score) : score;
  return 1 / (1 + std::exp(-logit));
}

// Converts the gradient of the sigmoid's argument into that of the score.
float score_gradient(float dlogit, float score, const EngramGateOptions& o) {
  if (!o.root) return dlogit;
  return std::abs(score) < static_cast<float>(o.clamp) ? 0 : dlogit / (2 * std::sqrt(std::abs(score)));
}

template <class E>
void backward_token(const EngramGateBackwardArgs& a, int64_t t, const float* w, float* dw) {
  const int64_t S = a.h.shape[1], C = a.h.shape[2];
  const E *kv = a.kv.as<E>() + t * (S + 1) * C, *v = kv + S * C;
  E* dkv = a.dkv.as<E>() + t * (S + 1) * C;
  Scratch<float> dv(C, 0.0f);
  for (int64_t s = 0; s < S; ++s) {
    const int64_t row = t * S + s;
    const float gate = a.gate.f32()[row], score = a.score.f32()[row];
    const E* dout = a.dout.as<E>() + row * C;
    const E* dvalue = a.dvalue.present() ? a.dvalue.as<E>() + row * C : nullptr;
    const float dgate = kernels<E>().value_backward(dv.data(), dout, dvalue, v, gate, C);
    const float dscore = score_gradient(dgate * gate * (1 - gate), score, a.options);
    kernels<E>().score_backward(a.dh.as<E>() + row * C, dkv + s * C, dw + s * C, dout, a.h.as<E>() + row * C,
                                kv + s * C, w + s * C, {score, a.rstd_h.f32()[row], a.rstd_k.f32()[row]}, dscore, C);
  }
  for (int64_t c = 0; c < C; ++c) dkv[S * C + c] = E(dv[c]);
}

}  // namespace

void engram_gate_forward(const EngramGateArgs& a) {
  const int64_t T = a.h.shape[0], S = a.h.shape[1], C = a.h.shape[2];
  Scratch<float> w(S * C);
  multiply(w.data(), a.w_h, a.w_k);
  with_activation_type(a.h.dtype, [&]<class E>() {
    parallel_for(T * S, 1 + 16384 / std::max<int64_t>(C, 1), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t t = row / S, s = row % S;
        const E *h = a.h.as<E>() + row * C, *kv = a.kv.as<E>() + t * (S + 1) * C;
        const EngramScore score =
            kernels<E>().score(h, kv + s * C, w.data() + s * C, C, static_cast<float>(a.options.eps));
        const bool on = !a.mask.present() || a.mask.as<uint8_t>()[t] != 0;
        const float gate = on ? gate_of(score.score, a.options) : 0.0f;
        kernels<E>().write(a.out.as<E>() + row * C, a.value.present() ? a.value.as<E>() + row * C : nullptr, h,
                           kv + S * C, gate, C);
        a.gate.f32()[row] = gate;
        a.score.f32()[row] = score.score;
        a.rstd_h.f32()[row] = score.rstd_h;
        a.rstd_k.f32()[row] = score.rstd_k;
      }
    });
  });
}

void engram_gate_backward(const EngramGateBackwardArgs& a) {
  const int64_t T = a.h.shape[0], N = a.w_h.count(), parts = (T + kTokensPerPart - 1) / kTokensPerPart;
  Scratch<float> w(N), partial(parts * N, 0.0f);
  multiply(w.data(), a.w_h, a.w_k);
  with_activation_type(a.h.dtype, [&]<class E>() {
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin * kTokensPerPart; t < std::min(end * kTokensPerPart, T); ++t) {
        backward_token<E>(a, t, w.data(), partial.data() + t / kTokensPerPart * N);
      }
    });
  });
  for (int64_t p = 0; p < parts; ++p) {
    for (int64_t k = 0; k < N; ++k) {
      a.dw_h.f32()[k] += partial[p * N + k] * a.w_k.f32()[k];
      a.dw_k.f32()[k] += partial[p * N + k] * a.w_h.f32()[k];
    }
  }
}

}  // namespace birkhoff::cpu

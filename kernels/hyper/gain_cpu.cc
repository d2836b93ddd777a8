#include <algorithm>
#include <cmath>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/hyper/gain.h"

namespace birkhoff::cpu {
namespace {

struct Gains {
  float forward, backward;
};

// m and product are scratch for S*S elements each; m ends as the product of all sites at token t.
Gains gains_of_token(const HyperGainArgs& a, int64_t t, float* m, float* product) {
  const int64_t S = a.combs[0].shape[1], E = S * S;
  std::copy_n(a.combs[0].f32() + t * E, E, m);
  for (const Tensor& comb : a.combs.subspan(1)) {
    const float* next = comb.f32() + t * E;
    for (int64_t i = 0; i < S; ++i) {
      for (int64_t j = 0; j < S; ++j) {
        float sum = 0;
        for (int64_t k = 0; k < S; ++k) sum += m[i * S + k] * next[k * S + j];
        product[i * S + j] = sum;
      }
    }
    std::copy_n(product, E, m);
  }
  Gains most{0, 0};
  for (int64_t i = 0; i < S; ++i) {
    Gains line{0, 0};
    for (int64_t k = 0; k < S; ++k) {
      line.forward += std::abs(m[k * S + i]);
      line.backward += std::abs(m[i * S + k]);
    }
    most = {std::max(most.forward, line.forward), std::max(most.backward, line.backward)};
  }
  return most;
}

}  // namespace

void hyper_gain(const HyperGainArgs& a) {
  const int64_t T = a.combs[0].shape[0], S = a.combs[0].shape[1];
  Scratch<Gains> gains(T);
  parallel_for(T, 64, [&](int64_t begin, int64_t end) {
    Scratch<float> m(S * S), product(S * S);
    for (int64_t t = begin; t < end; ++t) gains[t] = gains_of_token(a, t, m.data(), product.data());
  });
  const uint8_t* mask = a.token_mask.present() ? a.token_mask.as<uint8_t>() : nullptr;
  double forward = 0, backward = 0, tokens = 0;
  for (int64_t t = 0; t < T; ++t) {
    if (mask && mask[t] == 0) continue;
    forward += gains[t].forward;
    backward += gains[t].backward;
    tokens += 1;
  }
  double* sums = a.sums.as<double>();
  sums[0] = forward, sums[1] = backward, sums[2] = tokens;
}

}  // namespace birkhoff::cpu

#include <algorithm>
#include <cmath>

#include "kernels/core/cpu/convert.h"
#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/hyper/hc_coefficients.h"
#include "kernels/hyper/hyper_simd.h"

namespace birkhoff::cpu {
namespace {

// Tokens of one partial sum of the parameter gradients. The number is fixed, so the order of summation does not depend
// on the number of threads.
constexpr int64_t kTokensPerPart = 64;

// Partial sums of one part: dfn [(S+2)*C], dbase [S*S+2S], dscale [2], one after the other.
struct Part {
  float *dfn, *dbase, *dscale;
  Part(float* data, int64_t S, int64_t C) : dfn(data), dbase(dfn + (S + 2) * C), dscale(dbase + S * S + 2 * S) {}
  static int64_t size(int64_t S, int64_t C) { return (S + 2) * C + S * S + 2 * S + 2; }
};

// The kernels of the read also serve for fn: <x, fn[r]> of at most kMaxStreams rows, sum_r w[r] fn[r], and dfn[r] +=
// w[r] x.
const HyperReadRows<float>& rows_of_fn() {
  static const auto rows = on_best_isa([]<Isa isa>() { return hyper_read_rows<isa, float>(); });
  return rows;
}

template <class E>
void backward_row(const HcCoefficientsBackwardArgs& a, Part part, int64_t row) {
  const int64_t S = a.x.shape[1], C = a.x.shape[2], R = S + 2, i = row % S;
  const float *fn = a.fn.f32(), *mixes = a.mixes.f32() + row * R;
  const float rstd = a.rstd.f32()[row];
  Scratch<float> x(C), dx(C), through(C), weights(R);
  convert(x.data(), a.x.as<E>() + row * C, C);
  convert(dx.data(), a.dx.as<E>() + row * C, C);
  float dot = 0;  // <dmixes, mixes>
  for (int64_t r = 0; r < R; ++r) {
    const float d = r == 0 ? a.dpre.f32()[row] : r == 1 ? a.dpost.f32()[row] : a.dcomb.f32()[row * S + r - 2];
    const int64_t group = r == 1 ? 1 : 0;
    const float value = std::tanh(mixes[r]), dmix = d * a.scale.f32()[group] * (1 - value * value);
    part.dbase[r < 2 ? r * S + i : 2 * S + i * S + r - 2] += d;
    part.dscale[group] += d * value;
    dot += dmix * mixes[r];
    weights[r] = dmix * rstd;
  }
  rows_of_fn().spread(part.dfn, x.data(), weights.data(), 1, R, C);
  rows_of_fn().forward(through.data(), fn, weights.data(), 1, R, C);
  const float shrink = dot * rstd * rstd / static_cast<float>(C);
  for (int64_t c = 0; c < C; ++c) dx[c] += through[c] - shrink * x[c];
  convert(a.dx.as<E>() + row * C, dx.data(), C);
}

}  // namespace

void hc_coefficients_forward(const HcCoefficientsArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2], R = S + 2;
  const float *base = a.base.f32(), *scale = a.scale.f32();
  const auto eps = static_cast<float>(a.norm_eps);
  with_activation_type(a.x.dtype, [&]<class E>() {
    const auto& kernels = rows_of_fn();
    parallel_for(T * S, 1 + 4096 / std::max<int64_t>(C, 1), [&](int64_t begin, int64_t end) {
      Scratch<float> x(C);
      for (int64_t row = begin; row < end; ++row) {
        const int64_t i = row % S;
        float squares = 0;
        convert(x.data(), a.x.as<E>() + row * C, C);
        kernels.dots(&squares, x.data(), x.data(), 1, 1, C);
        const float rstd = a.rstd.f32()[row] = 1 / std::sqrt(squares / static_cast<float>(C) + eps);
        float* mixes = a.mixes.f32() + row * R;
        // Two calls, because S + 2 may exceed kMaxStreams.
        kernels.dots(mixes, x.data(), a.fn.f32(), 1, 2, C);
        kernels.dots(mixes + 2, x.data(), a.fn.f32() + 2 * C, 1, S, C);
        for (int64_t r = 0; r < R; ++r) mixes[r] *= rstd;
        a.pre.f32()[row] = scale[0] * std::tanh(mixes[0]) + base[i];
        a.post.f32()[row] = scale[1] * std::tanh(mixes[1]) + base[S + i];
        for (int64_t j = 0; j < S; ++j) {
          a.comb.f32()[row * S + j] = scale[0] * std::tanh(mixes[2 + j]) + base[2 * S + i * S + j];
        }
      }
    });
  });
}

void hc_coefficients_backward(const HcCoefficientsBackwardArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2], size = Part::size(S, C);
  const int64_t parts = (T + kTokensPerPart - 1) / kTokensPerPart;
  Scratch<float> partial(parts * size, 0.0f);
  with_activation_type(a.x.dtype, [&]<class E>() {
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t last = std::min((p + 1) * kTokensPerPart, T);
        const Part part(partial.data() + p * size, S, C);
        for (int64_t row = p * kTokensPerPart * S; row < last * S; ++row) backward_row<E>(a, part, row);
      }
    });
  });
  for (int64_t p = 0; p < parts; ++p) {
    const Part part(partial.data() + p * size, S, C);
    for (int64_t k = 0; k < a.dfn.count(); ++k) a.dfn.f32()[k] += part.dfn[k];
    for (int64_t k = 0; k < a.dbase.count(); ++k) a.dbase.f32()[k] += part.dbase[k];
    for (int64_t k = 0; k < 2; ++k) a.dscale.f32()[k] += part.dscale[k];
  }
}

}  // namespace birkhoff::cpu

#include <algorithm>

#include "kernels/core/cpu/float_types.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/hyper/coefficient_products.h"
#include "kernels/hyper/coefficients.h"
#include "kernels/hyper/hyper_simd.h"

namespace birkhoff::cpu {
namespace {

// Tokens that go through all steps together, so that they stay in the cache.
constexpr int64_t kTile = 16;

template <class T>
struct Kernels {
  HyperCoefficientRows<T> coefficients;
  HyperReadRows<T> read;
  SinkhornRows sinkhorn;
};
template <class T>
const Kernels<T>& kernels() {
  static const auto all = on_best_isa([]<Isa isa>() {
    return Kernels<T>{hyper_coefficient_rows<isa, T>(), hyper_read_rows<isa, T>(), sinkhorn_rows<isa>()};
  });
  return all;
}

struct Sizes {
  int64_t T, S, C, R, N;
  bool head;
  explicit Sizes(const Tensor& x, const Tensor& base)
      : T(x.shape[0]), S(x.shape[1]), C(x.shape[2]), R(base.count()), N(S * C), head(R == S) {}
  int64_t tiles(int64_t tile = kTile) const { return (T + tile - 1) / tile; }
  // The element of `scale` that belongs to row r.
  int64_t group(int64_t r) const { return r < S ? 0 : r < 2 * S ? 1 : 2; }
  // The number of rows that go through a sigmoid; the others are logits of Sinkhorn.
  int64_t gates() const { return head ? S : 2 * S; }
};

// Computes scale * mixes + base of a tile and separates the arguments of the sigmoid, [rows, gates], from the logits,
// [rows, S*S].
void split_arguments(float* gates, float* logits, const float* mixes, const Tensor& base, const Tensor& scale,
                     int64_t rows, const Sizes& n) {
  const int64_t G = n.gates(), E = n.R - G;
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t r = 0; r < n.R; ++r) {
      const float z = scale.f32()[n.group(r)] * mixes[t * n.R + r] + base.f32()[r];
      (r < G ? gates[t * G + r] : logits[t * E + r - G]) = z;
    }
  }
}

template <class T>
void forward_tile(const HyperCoefficientsArgs& a, const FnProducts& fn, int64_t t, int64_t rows, const Sizes& n) {
  const int64_t G = n.gates();
  const Kernels<T>& k = kernels<T>();
  Scratch<float> gates(rows * G), work(sinkhorn_work(n.S, 1)), products(rows * fn.columns());
  const T* x = a.x.as<T>() + t * n.N;
  float *mixes = a.mixes.f32() + t * n.R, *pre = a.pre.f32() + t * n.S;
  float* comb = n.head ? nullptr : a.comb.f32() + t * n.S * n.S;
  fn.multiply(products.data(), x, rows);
  k.coefficients.mixes(mixes, a.rstd.f32() + t, x, products.data(), {fn.terms(), fn.columns()}, rows, n.R, n.N,
                       static_cast<float>(a.options.norm_eps));
  // The logits go straight into comb, where Sinkhorn runs in place.
  split_arguments(gates.data(), comb, mixes, a.base, a.scale, rows, n);
  k.coefficients.sigmoid(gates.data(), gates.data(), rows * G);
  const auto eps = static_cast<float>(a.options.sinkhorn.eps), post = static_cast<float>(a.options.post_multiplier);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < n.S; ++i) {
      pre[row * n.S + i] = gates[row * G + i] + eps;
      if (!n.head) a.post.f32()[(t + row) * n.S + i] = post * gates[row * G + n.S + i];
    }
  }
  if (!n.head) k.sinkhorn.forward(comb, comb, rows, n.S, a.options.sinkhorn, work.data());
  if (a.h.present()) k.read.forward(a.h.as<T>() + t * n.C, x, pre, rows, n.S, n.C);
}

// The gradients of scale * mixes + base (dz) and of <fn, x> (draw), both [T,R] for the whole call.
struct ArgumentGradients {
  float *dz, *draw;
};

// Computes dz of a tile, and pre as in the forward.
template <class T>
void argument_gradients(const HyperCoefficientsBackwardArgs& a, float* dz, float* pre, int64_t t, const Sizes& n) {
  const int64_t rows = std::min(kTile, n.T - t), G = n.gates(), E = n.R - G;
  const Kernels<T>& k = kernels<T>();
  Scratch<float> gates(rows * G), logits(rows * E), dlogits(rows * E), dpre(rows * n.S, 0.0f);
  Scratch<float> work(n.head ? 0 : sinkhorn_work(n.S, a.options.sinkhorn.iterations));
  split_arguments(gates.data(), logits.data(), a.mixes.f32() + t * n.R, a.base, a.scale, rows, n);
  k.coefficients.sigmoid(gates.data(), gates.data(), rows * G);
  if (a.dh.present()) {
    k.read.dots(dpre.data(), a.dh.as<T>() + t * n.C, a.x.as<T>() + t * n.N, rows, n.S, n.C);
  }
  if (!n.head) {
    k.sinkhorn.backward(dlogits.data(), a.dcomb.f32() + t * E, logits.data(), rows, n.S, a.options.sinkhorn,
                        work.data());
  }
  const auto eps = static_cast<float>(a.options.sinkhorn.eps), post = static_cast<float>(a.options.post_multiplier);
  for (int64_t row = 0; row < rows; ++row) {
    const float* s = gates.data() + row * G;
    float* out = dz + row * n.R;
    for (int64_t i = 0; i < n.S; ++i) {
      const float d = dpre[row * n.S + i] + (a.dpre.present() ? a.dpre.f32()[(t + row) * n.S + i] : 0.0f);
      pre[row * n.S + i] = s[i] + eps;
      out[i] = d * s[i] * (1 - s[i]);
    }
    for (int64_t j = n.S; j < G; ++j) {
      out[j] = a.dpost.f32()[(t + row) * n.S + j - n.S] * post * s[j] * (1 - s[j]);
    }
    std::copy_n(dlogits.data() + row * E, E, out + G);
  }
}

template <class T>
void backward_tile(const HyperCoefficientsBackwardArgs& a, ArgumentGradients out, const float* panels, int64_t t,
                   const Sizes& n) {
  const int64_t rows = std::min(kTile, n.T - t);
  Scratch<float> pre(rows * n.S), shrink(rows);
  argument_gradients<T>(a, out.dz + t * n.R, pre.data(), t, n);
  for (int64_t row = 0; row < rows; ++row) {
    const float rstd = a.rstd.f32()[t + row];
    float dot = 0;  // <dmixes, mixes>
    for (int64_t r = 0, at = (t + row) * n.R; r < n.R; ++r, ++at) {
      const float dmix = out.dz[at] * a.scale.f32()[n.group(r)];
      out.draw[at] = dmix * rstd;
      dot += dmix * a.mixes.f32()[at];
    }
    // The gradient through rstd: dx gets -shrink * x.
    shrink[row] = dot * rstd * rstd / static_cast<float>(n.N);
  }
  kernels<T>().coefficients.input_gradient(a.dx.as<T>() + t * n.N, a.x.as<T>() + t * n.N,
                                           a.dh.present() ? a.dh.as<T>() + t * n.C : nullptr, pre.data(),
                                           out.draw + t * n.R, shrink.data(), panels, rows, n.R, n.S, n.C);
}

void add_base_and_scale(const HyperCoefficientsBackwardArgs& a, const float* dz, const Sizes& n) {
  Scratch<float> dbase(n.R, 0.0f), dscale(n.R, 0.0f);
  for (int64_t t = 0; t < n.T; ++t) {
    for (int64_t r = 0; r < n.R; ++r) {
      dbase[r] += dz[t * n.R + r];
      dscale[r] += dz[t * n.R + r] * a.mixes.f32()[t * n.R + r];
    }
  }
  for (int64_t r = 0; r < n.R; ++r) {
    a.dbase.f32()[r] += dbase[r];
    a.dscale.f32()[n.group(r)] += dscale[r];
  }
}

}  // namespace

void hyper_coefficients_forward(const HyperCoefficientsArgs& a) {
  const Sizes n(a.x, a.base);
  with_activation_type(a.x.dtype, [&]<class E>() {
    const FnProducts fn(a.fn, a.x.dtype);
    const int64_t tile = fn.tile_rows();
    parallel_for(n.tiles(tile), 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin * tile; t < std::min(end * tile, n.T); t += tile) {
        forward_tile<E>(a, fn, t, std::min(tile, n.T - t), n);
      }
    });
  });
}

void hyper_coefficients_backward(const HyperCoefficientsBackwardArgs& a) {
  const Sizes n(a.x, a.base);
  Scratch<float> dz(n.T * n.R), draw(n.T * n.R);
  with_activation_type(a.x.dtype, [&]<class E>() {
    const auto& rows = kernels<E>().coefficients;
    Scratch<float> panels(rows.panel_count(n.S, n.C) * rows.panel_floats(n.R));
    parallel_for(rows.panel_count(n.S, n.C), 8, [&](int64_t begin, int64_t end) {
      rows.pack_panels(panels.data(), a.fn.f32(), n.R, n.S, n.C, begin, end);
    });
    parallel_for(n.tiles(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; ++tile) {
        backward_tile<E>(a, {dz.data(), draw.data()}, panels.data(), tile * kTile, n);
      }
    });
    if (add_fn_gradient(a.dfn.f32(), draw.data(), a.x, n.R)) return;  // from the lambda
    // Each thread owns whole columns and adds every token in order, so no partial sums are needed.
    constexpr int64_t kColumns = 64;
    parallel_for((n.N + kColumns - 1) / kColumns, 4, [&](int64_t begin, int64_t end) {
      rows.weight_gradient(a.dfn.f32(), draw.data(), a.x.as<E>(), n.T, n.R, n.N, begin * kColumns,
                           std::min(end * kColumns, n.N));
    });
  });
  add_base_and_scale(a, dz.data(), n);
}

}  // namespace birkhoff::cpu

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/attention/mla_heads.h"

namespace birkhoff::reference {

namespace {

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void add(double* y, double alpha, const double* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += alpha * x[i];
}

}  // namespace

void attention_forward(const AttentionArgs& a) {
  const int64_t Tq = a.q.shape[0], H = a.q.shape[1], Hkv = a.k.shape[1], D = a.q.shape[2], V = a.v.shape[2];
  const KeyRanges ranges(a.mask);
  std::vector<double> s(static_cast<size_t>(a.k.shape[0]));
  for (int64_t t = 0; t < Tq; ++t) {
    const KeyRange keys = ranges[t];
    for (int64_t h = 0; h < H; ++h) {
      const int64_t g = h / (H / Hkv);
      double most = -INFINITY, sum = 0;
      for (int64_t j = keys.begin; j < keys.end; ++j) {
        s[static_cast<size_t>(j)] =
            a.scale * dot(a.q.as<double>() + (t * H + h) * D, a.k.as<double>() + (j * Hkv + g) * D, D);
        most = std::max(most, s[static_cast<size_t>(j)]);
      }
      for (int64_t j = keys.begin; j < keys.end; ++j) sum += std::exp(s[static_cast<size_t>(j)] - most);
      const double lse = most + std::log(sum);  // -inf without keys
      double* o = a.o.as<double>() + (t * H + h) * V;
      std::fill_n(o, V, 0.0);
      for (int64_t j = keys.begin; j < keys.end; ++j) {
        add(o, std::exp(s[static_cast<size_t>(j)] - lse), a.v.as<double>() + (j * Hkv + g) * V, V);
      }
      a.lse.as<double>()[t * H + h] = lse;
    }
  }
}

void attention_backward(const AttentionBackwardArgs& a) {
  const int64_t Tq = a.q.shape[0], H = a.q.shape[1], Hkv = a.k.shape[1], D = a.q.shape[2], V = a.v.shape[2];
  const KeyRanges ranges(a.mask);
  for (Tensor t : {a.dq, a.dk, a.dv}) std::fill_n(t.as<double>(), t.count(), 0.0);
  for (int64_t t = 0; t < Tq; ++t) {
    for (int64_t h = 0; h < H; ++h) {
      const int64_t g = h / (H / Hkv), row = t * H + h;
      const double *q = a.q.as<double>() + row * D, *d_o = a.d_o.as<double>() + row * V;
      const double delta = dot(d_o, a.o.as<double>() + row * V, V);
      for (int64_t j = ranges[t].begin; j < ranges[t].end; ++j) {
        const double *k = a.k.as<double>() + (j * Hkv + g) * D, *v = a.v.as<double>() + (j * Hkv + g) * V;
        const double p = std::exp(a.scale * dot(q, k, D) - a.lse.as<double>()[row]);
        const double ds = a.scale * p * (dot(d_o, v, V) - delta);
        add(a.dv.as<double>() + (j * Hkv + g) * V, p, d_o, V);
        add(a.dq.as<double>() + row * D, ds, k, D);
        add(a.dk.as<double>() + (j * Hkv + g) * D, ds, q, D);
      }
    }
  }
}

void mla_heads_forward(const MlaHeadsArgs& a) {
  const int64_t H = a.k.shape[1], D = a.k.shape[2], R = a.k_rope.shape.back(), N = D - R, V = a.v.shape[2];
  for (int64_t row = 0; row < a.k.shape[0] * H; ++row) {
    const double *kv = a.kv.as<double>() + row * (N + V), *k_rope = a.k_rope.as<double>() + row / H * R;
    for (int64_t d = 0; d < D; ++d) a.k.as<double>()[row * D + d] = d < N ? kv[d] : k_rope[d - N];
    for (int64_t d = 0; d < V; ++d) a.v.as<double>()[row * V + d] = kv[N + d];
  }
}

void mla_heads_backward(const MlaHeadsBackwardArgs& a) {
  const int64_t H = a.dk.shape[1], D = a.dk.shape[2], R = a.dk_rope.shape.back(), N = D - R, V = a.dv.shape[2];
  for (int64_t i = 0; i < a.dk_rope.count(); ++i) a.dk_rope.as<double>()[i] = 0;
  for (int64_t row = 0; row < a.dk.shape[0] * H; ++row) {
    const double *dk = a.dk.as<double>() + row * D, *dv = a.dv.as<double>() + row * V;
    double* dkv = a.dkv.as<double>() + row * (N + V);
    for (int64_t d = 0; d < N + V; ++d) dkv[d] = d < N ? dk[d] : dv[d - N];
    for (int64_t r = 0; r < R; ++r) a.dk_rope.as<double>()[row / H * R + r] += dk[N + r];
  }
}

}  // namespace birkhoff::reference

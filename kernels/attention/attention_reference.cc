#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention/attention.h"

namespace birkhoff::reference {
namespace {

// Row (t, h) of a tensor [T, heads, width].
double* row(const Tensor& x, int64_t t, int64_t h) { return x.as<double>() + (t * x.shape[1] + h) * x.shape[2]; }

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

void attention_forward(const AttentionArgs& a) {
  const int64_t T = a.q.shape[0], H = a.q.shape[1], group = H / a.k.shape[1], D = a.q.shape[2], Dv = a.v.shape[2];
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t h = 0; h < H; ++h) {
      const int64_t first = a.document_start.as<int32_t>()[t];
      std::vector<double> s;
      for (int64_t j = first; j <= t; ++j) s.push_back(a.scale * dot(row(a.q, t, h), row(a.k, j, h / group), D));
      const double largest = *std::max_element(s.begin(), s.end());
      double sum = 0;
      for (double v : s) sum += std::exp(v - largest);
      const double lse = largest + std::log(sum);
      a.lse.as<double>()[t * H + h] = lse;
      double* o = row(a.o, t, h);
      std::fill(o, o + Dv, 0.0);
      for (int64_t j = first; j <= t; ++j) {
        const double p = std::exp(s[static_cast<size_t>(j - first)] - lse);
        for (int64_t d = 0; d < Dv; ++d) o[d] += p * row(a.v, j, h / group)[d];
      }
    }
  }
}

void attention_backward(const AttentionBackwardArgs& a) {
  const int64_t T = a.q.shape[0], H = a.q.shape[1], group = H / a.k.shape[1], D = a.q.shape[2], Dv = a.v.shape[2];
  for (const Tensor& t : {a.dq, a.dk, a.dv}) std::fill_n(t.as<double>(), t.count(), 0.0);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t h = 0; h < H; ++h) {
      const double *q = row(a.q, t, h), *g = row(a.d_o, t, h);
      const double delta = dot(g, row(a.o, t, h), Dv);
      for (int64_t j = a.document_start.as<int32_t>()[t]; j <= t; ++j) {
        const double* k = row(a.k, j, h / group);
        const double p = std::exp(a.scale * dot(q, k, D) - a.lse.as<double>()[t * H + h]);
        const double ds = a.scale * p * (dot(g, row(a.v, j, h / group), Dv) - delta);
        for (int64_t d = 0; d < Dv; ++d) row(a.dv, j, h / group)[d] += p * g[d];
        for (int64_t d = 0; d < D; ++d) row(a.dq, t, h)[d] += ds * k[d];
        for (int64_t d = 0; d < D; ++d) row(a.dk, j, h / group)[d] += ds * q[d];
      }
    }
  }
}

}  // namespace birkhoff::reference

#include <vector>

#include "kernels/hyper/read.h"
#include "kernels/hyper/streams.h"
#include "kernels/hyper/write_mix.h"

namespace birkhoff::reference {

void hyper_read_forward(const HyperReadArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t c = 0; c < C; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < S; ++i) sum += a.pre.as<double>()[t * S + i] * a.x.as<double>()[(t * S + i) * C + c];
      a.h.as<double>()[t * C + c] = sum;
    }
  }
}

void hyper_read_backward(const HyperReadBackwardArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  for (int64_t row = 0; row < T * S; ++row) {
    const double *x = a.x.as<double>() + row * C, *dh = a.dh.as<double>() + row / S * C;
    double dpre = 0;
    for (int64_t c = 0; c < C; ++c) {
      dpre += dh[c] * x[c];
      a.dx.as<double>()[row * C + c] += a.pre.as<double>()[row] * dh[c];
    }
    a.dpre.as<double>()[row] = dpre;
  }
}

void hyper_expand(const HyperExpandArgs& a) {
  const int64_t S = a.x.shape[1], C = a.x.shape[2];
  for (int64_t k = 0; k < a.x.count(); ++k) {
    a.x.as<double>()[k] = a.factor * a.h.as<double>()[k / (S * C) * C + k % C];
  }
}

void hyper_collapse(const HyperCollapseArgs& a) {
  const int64_t S = a.x.shape[1], C = a.x.shape[2];
  for (int64_t k = 0; k < a.h.count(); ++k) {
    double sum = 0;
    for (int64_t i = 0; i < S; ++i) sum += a.x.as<double>()[(k / C * S + i) * C + k % C];
    a.h.as<double>()[k] = a.factor * sum;
  }
}

void hyper_write_mix_forward(const HyperWriteMixArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  std::vector<double> next(static_cast<size_t>(S));
  for (int64_t t = 0; t < T; ++t) {
    const double *x = a.x.as<double>() + t * S * C, *y = a.y.as<double>() + t * C;
    const double *post = a.post.as<double>() + t * S, *comb = a.comb.as<double>() + t * S * S;
    for (int64_t c = 0; c < C; ++c) {
      for (int64_t j = 0; j < S; ++j) {
        double sum = post[j] * y[c];
        for (int64_t i = 0; i < S; ++i) sum += comb[i * S + j] * x[i * C + c];
        next[static_cast<size_t>(j)] = sum;
      }
      for (int64_t j = 0; j < S; ++j) a.x_next.as<double>()[(t * S + j) * C + c] = next[static_cast<size_t>(j)];
    }
  }
}

void hyper_write_mix_backward(const HyperWriteMixBackwardArgs& a) {
  const int64_t T = a.x.shape[0], S = a.x.shape[1], C = a.x.shape[2];
  std::vector<double> g(static_cast<size_t>(S));
  for (int64_t t = 0; t < T; ++t) {
    const double *x = a.x.as<double>() + t * S * C, *y = a.y.as<double>() + t * C;
    const double *post = a.post.as<double>() + t * S, *comb = a.comb.as<double>() + t * S * S;
    double *dpost = a.dpost.as<double>() + t * S, *dcomb = a.dcomb.as<double>() + t * S * S;
    for (int64_t j = 0; j < S; ++j) dpost[j] = 0;
    for (int64_t ij = 0; ij < S * S; ++ij) dcomb[ij] = 0;
    for (int64_t c = 0; c < C; ++c) {
      double dy = 0;
      for (int64_t j = 0; j < S; ++j) {
        const double G = g[static_cast<size_t>(j)] = a.dx_next.as<double>()[(t * S + j) * C + c];
        dy += post[j] * G;
        dpost[j] += G * y[c];
      }
      a.dy.as<double>()[t * C + c] = dy;
      for (int64_t i = 0; i < S; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < S; ++j) {
          sum += comb[i * S + j] * g[static_cast<size_t>(j)];
          dcomb[i * S + j] += x[i * C + c] * g[static_cast<size_t>(j)];
        }
        a.dx.as<double>()[(t * S + i) * C + c] = sum;
      }
    }
  }
}

}  // namespace birkhoff::reference

#include "kernels/gemm/grouped_gemm.h"
#include "kernels/gemm/shapes.h"

namespace birkhoff::reference {

void gemm(const GemmArgs& args) {
  const GemmSizes s = sizes_of(args);
  const double *a = args.a.as<double>(), *b = args.b.as<double>();
  double* c = args.c.as<double>();
  for (int64_t m = 0; m < s.M; ++m) {
    for (int64_t n = 0; n < s.N; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < s.K; ++k) {
        sum += a[args.transpose_a ? k * s.M + m : m * s.K + k] * b[args.transpose_b ? n * s.K + k : k * s.N + n];
      }
      c[m * s.N + n] = args.accumulate ? c[m * s.N + n] + sum : sum;
    }
  }
}

namespace {

// Calls body(e, r) for every row r of every expert e.
template <class Body>
void for_each_row(Tensor offsets, Body body) {
  const int64_t E = offsets.shape[0] - 1;
  const int64_t* starts = offsets.as<int64_t>();
  for (int64_t e = 0; e < E; ++e) {
    for (int64_t r = starts[e]; r < starts[e + 1]; ++r) body(e, r);
  }
}

}  // namespace

void grouped_gemm(const GroupedGemmArgs& a) {
  const int64_t O = a.weight.shape[1], I = a.weight.shape[2];
  for_each_row(a.offsets, [&](int64_t e, int64_t r) {
    const double *x = a.x.as<double>() + r * I, *w = a.weight.as<double>() + e * O * I;
    for (int64_t o = 0; o < O; ++o) {
      double sum = 0;
      for (int64_t i = 0; i < I; ++i) sum += x[i] * w[o * I + i];
      a.y.as<double>()[r * O + o] = sum;
    }
  });
}

void grouped_gemm_backward_input(const GroupedGemmBackwardInputArgs& a) {
  const int64_t O = a.weight.shape[1], I = a.weight.shape[2];
  for_each_row(a.offsets, [&](int64_t e, int64_t r) {
    const double *dy = a.dy.as<double>() + r * O, *w = a.weight.as<double>() + e * O * I;
    for (int64_t i = 0; i < I; ++i) {
      double sum = 0;
      for (int64_t o = 0; o < O; ++o) sum += dy[o] * w[o * I + i];
      a.dx.as<double>()[r * I + i] = sum;
    }
  });
}

void grouped_gemm_backward_weight(const GroupedGemmBackwardWeightArgs& a) {
  const int64_t O = a.dw.shape[1], I = a.dw.shape[2];
  for_each_row(a.offsets, [&](int64_t e, int64_t r) {
    const double *dy = a.dy.as<double>() + r * O, *x = a.x.as<double>() + r * I;
    double* dw = a.dw.as<double>() + e * O * I;
    for (int64_t o = 0; o < O; ++o) {
      for (int64_t i = 0; i < I; ++i) dw[o * I + i] += dy[o] * x[i];
    }
  });
}

}  // namespace birkhoff::reference

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

}  // namespace birkhoff::reference

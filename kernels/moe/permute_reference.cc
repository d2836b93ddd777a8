#include "kernels/moe/permute.h"

namespace birkhoff::reference {

void permute_forward(const PermuteArgs& a) {
  const int64_t R = a.token_of.count(), C = a.x.shape.back();
  for (int64_t r = 0; r < R; ++r) {
    const int64_t t = a.token_of.as<int32_t>()[r];
    for (int64_t c = 0; c < C; ++c) a.rows.as<double>()[r * C + c] = a.x.as<double>()[t * C + c];
  }
}

void combine_forward(const CombineRowsArgs& a) {
  const int64_t T = a.y.shape.rows(), C = a.y.shape.back(), K = a.row_of.shape.back();
  for (int64_t i = 0; i < T * C; ++i) {
    double sum = a.base.present() ? a.base.as<double>()[i] : 0;
    for (int64_t p = i / C * K; p < (i / C + 1) * K; ++p) {
      const double gate = a.gate.present() ? a.gate.as<double>()[p] : 1;
      sum += gate * a.rows.as<double>()[a.row_of.as<int32_t>()[p] * C + i % C];
    }
    a.y.as<double>()[i] = sum;
  }
}

void permute_backward(const PermuteBackwardArgs& a) { combine_forward({a.dx, a.drows, {}, {}, a.row_of}); }

void combine_backward(const CombineRowsBackwardArgs& a) {
  const int64_t pairs = a.row_of.count(), C = a.dy.shape.back(), K = a.row_of.shape.back();
  for (int64_t p = 0; p < pairs; ++p) {
    const int64_t r = a.row_of.as<int32_t>()[p];
    const double* dy = a.dy.as<double>() + p / K * C;
    double dot = 0;
    for (int64_t c = 0; a.gate.present() && c < C; ++c) dot += dy[c] * a.rows.as<double>()[r * C + c];
    const double gate = a.gate.present() ? a.gate.as<double>()[p] : 1;
    if (a.gate.present()) a.dgate.as<double>()[p] = dot;
    for (int64_t c = 0; c < C; ++c) a.drows.as<double>()[r * C + c] = gate * dy[c];
  }
}

void permute_gate_forward(const PermuteGateArgs& a) {
  for (int64_t p = 0; p < a.row_of.count(); ++p) {
    a.gate_rows.as<double>()[a.row_of.as<int32_t>()[p]] = a.gate.as<double>()[p];
  }
}

void permute_gate_backward(const PermuteGateBackwardArgs& a) {
  for (int64_t p = 0; p < a.row_of.count(); ++p) {
    a.dgate.as<double>()[p] = a.dgate_rows.as<double>()[a.row_of.as<int32_t>()[p]];
  }
}

}  // namespace birkhoff::reference

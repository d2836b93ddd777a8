#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/hyper/gain.h"

namespace birkhoff::reference {

void hyper_gain(const HyperGainArgs& a) {
  const int64_t T = a.combs[0].shape[0], S = a.combs[0].shape[1];
  double forward = 0, backward = 0;
  for (int64_t t = 0; t < T; ++t) {
    const double* first = a.combs[0].as<double>() + t * S * S;
    std::vector<double> m(first, first + S * S);
    for (const Tensor& comb : a.combs.subspan(1)) {
      std::vector<double> product(m.size(), 0.0);
      for (int64_t i = 0; i < S; ++i) {
        for (int64_t k = 0; k < S; ++k) {
          for (int64_t j = 0; j < S; ++j) {
            product[static_cast<size_t>(i * S + j)] +=
                m[static_cast<size_t>(i * S + k)] * comb.as<double>()[(t * S + k) * S + j];
          }
        }
      }
      m.swap(product);
    }
    double column = 0, row = 0;
    for (int64_t i = 0; i < S; ++i) {
      double over_inputs = 0, over_outputs = 0;
      for (int64_t k = 0; k < S; ++k) {
        over_inputs += std::abs(m[static_cast<size_t>(k * S + i)]);
        over_outputs += std::abs(m[static_cast<size_t>(i * S + k)]);
      }
      column = std::max(column, over_inputs);
      row = std::max(row, over_outputs);
    }
    forward += column;
    backward += row;
  }
  a.gain.as<double>()[0] = T == 0 ? 0 : forward / static_cast<double>(T);
  a.gain.as<double>()[1] = T == 0 ? 0 : backward / static_cast<double>(T);
}

}  // namespace birkhoff::reference

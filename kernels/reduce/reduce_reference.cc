#include <cmath>

#include "kernels/reduce/reduce.h"

namespace birkhoff::reference {

void sum_of_squares(const ReduceArgs& a) {
  double sum = 0;
  for (int64_t i = 0; i < a.x.count(); ++i) sum += a.x.as<double>()[i] * a.x.as<double>()[i];
  *a.out.as<double>() = sum;
}

void inverse_norm(const ReduceArgs& a) {
  sum_of_squares(a);
  double& out = *a.out.as<double>();
  out = out == 0 ? 0 : 1 / std::sqrt(out);
}

void abs_max(const ReduceArgs& a) {
  double largest = 0;
  for (int64_t i = 0; i < a.x.count(); ++i) {
    const double magnitude = std::abs(a.x.as<double>()[i]);
    if (std::isnan(magnitude) || magnitude > largest) largest = magnitude;
    if (std::isnan(largest)) break;
  }
  *a.out.as<double>() = largest;
}

void flag_nonfinite(const ReduceArgs& a) {
  for (int64_t i = 0; i < a.x.count(); ++i) {
    if (!std::isfinite(a.x.as<double>()[i])) *a.out.as<int32_t>() = 1;
  }
}

}  // namespace birkhoff::reference

#include <algorithm>
#include <cmath>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/core/error.h"
#include "kernels/reduce/reduce.h"
#include "kernels/reduce/reduce_simd.h"

namespace birkhoff::cpu {
namespace {

// Elements of one partial result. The number is fixed, so the order of a sum does not depend on the number of threads.
constexpr int64_t kPart = 1 << 14;

// Reduces every part of x with the kernel `run`, then the parts, in order, with `join`.
template <class T, class Join>
double reduce_parts(Tensor x, double (*ReduceRun<T>::*run)(const T*, int64_t), Join join) {
  static const auto kernels = on_best_isa([]<Isa isa>() { return reduce_run<isa, T>(); });
  const int64_t parts = (x.count() + kPart - 1) / kPart;
  Scratch<double> partial(parts);
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      partial[p] = (kernels.*run)(x.as<T>() + p * kPart, std::min(kPart, x.count() - p * kPart));
    }
  });
  double total = 0;
  for (int64_t p = 0; p < parts; ++p) total = join(total, partial[p]);
  return total;
}

template <class Body>
double with_float_type(DType dtype, Body body) {
  if (dtype == DType::f32) return body.template operator()<float>();
  if (dtype == DType::bf16) return body.template operator()<bfloat16>();
  return body.template operator()<double>();
}

double squares(Tensor x) {
  auto plus = [](double a, double b) { return a + b; };
  return with_float_type(x.dtype, [&]<class T>() { return reduce_parts<T>(x, &ReduceRun<T>::sum_of_squares, plus); });
}

double largest_magnitude(Tensor x) {
  auto larger = [](double a, double b) { return std::isnan(a) || a >= b ? a : b; };
  return with_float_type(x.dtype, [&]<class T>() { return reduce_parts<T>(x, &ReduceRun<T>::abs_max, larger); });
}

void write(Tensor out, double value) {
  if (out.dtype == DType::f64) {
    *out.as<double>() = value;
  } else {
    *out.f32() = static_cast<float>(value);
  }
}

}  // namespace

void inverse_norm(const ReduceArgs& a) {
  const double sum = squares(a.x);
  write(a.out, sum == 0 ? 0 : 1 / std::sqrt(sum));
}

void abs_max(const ReduceArgs& a) { write(a.out, largest_magnitude(a.x)); }

void flag_nonfinite(const ReduceArgs& a) {
  if (!std::isfinite(largest_magnitude(a.x))) *a.out.as<int32_t>() = 1;
}

}  // namespace birkhoff::cpu

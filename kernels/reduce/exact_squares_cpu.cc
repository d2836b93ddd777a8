#include <algorithm>
#include <cmath>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cpu/scratch.h"
#include "kernels/reduce/exact_squares.h"
#include "kernels/reduce/reduce_simd.h"

namespace birkhoff::cpu {
namespace {

// Elements whose digits are summed without a carry: 32 blocks of the kernel, each of which adds less than 2^40 to a
// digit.
constexpr int64_t kPart = 1 << 14;

// Adds the digits of a part and carries, so that the digits below the last are at most 2^29 in magnitude.
void add(double* total, const double* part) {
  constexpr double kBase = 1 << 30;
  double carry = 0;
  for (int k = 0; k < kSquareDigits; ++k) {
    const double sum = total[k] + part[k] + carry;
    carry = k + 1 < kSquareDigits && std::isfinite(sum) ? std::nearbyint(sum / kBase) : 0;
    total[k] = sum - carry * kBase;
  }
}

template <class T>
void sum_digits(const ExactSquaresArgs& a) {
  static const auto add_squares = on_best_isa([]<Isa isa>() { return squares_run<isa, T>(); });
  const int64_t count = a.x.count(), parts = (count + kPart - 1) / kPart;
  Scratch<double> partial(parts * kSquareDigits);
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      double* digits = partial.data() + p * kSquareDigits;
      std::fill_n(digits, kSquareDigits, 0.0);
      add_squares(a.x.as<T>() + p * kPart, std::min(kPart, count - p * kPart), digits);
    }
  });
  double* total = a.digits.as<double>();
  std::fill_n(total, kSquareDigits, 0.0);
  for (int64_t p = 0; p < parts; ++p) add(total, partial.data() + p * kSquareDigits);
}

}  // namespace

void exact_squares(const ExactSquaresArgs& a) {
  if (a.x.dtype == DType::f32) return sum_digits<float>(a);
  if (a.x.dtype == DType::bf16) return sum_digits<bfloat16>(a);
  sum_digits<double>(a);
}

}  // namespace birkhoff::cpu

#include "kernels/reduce/exact_squares.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

using Values = std::vector<double>;

constexpr DType kFloats[] = {DType::f32, DType::bf16, DType::f64};

// Magnitudes over the whole range whose squares are in the range of the digits of the dtype.
Values drawn(size_t count, uint64_t seed, int exponents) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int> exponent(-exponents, exponents);
  std::normal_distribution<double> normal;
  Values values(count);
  for (double& v : values) v = std::ldexp(normal(random), exponent(random));
  return values;
}

struct World {
  explicit World(DeviceKind kind = DeviceKind::cpu) : arena(Device{kind}), stream{Device{kind}} {}
  Tensor tensor(DType dtype, const Values& values) {
    const Tensor t = arena.take(dtype, {static_cast<int64_t>(values.size())});
    set_values(t, values);
    return t;
  }
  Values digits(Tensor x) {
    const Tensor out = arena.take(DType::f64, {kSquareDigits});
    set_values(out, Values(kSquareDigits, 7.0));
    exact_squares(stream, {out, x});
    return values_of(out);
  }
  double sum(Tensor x) { return value_of_digits(digits(x)); }
  Arena arena;
  Stream stream;
};

double reference_sum(const Values& x) {
  World w(DeviceKind::reference);
  return w.sum(w.tensor(DType::f64, x));
}

TEST(ExactSquares, OfTheCpuAreTheBitsOfTheReference) {
  World w;
  for (const DType dtype : kFloats) {
    for (const size_t count : {0u, 1u, 7u, 511u, 512u, 513u, 16384u, 40001u}) {
      for (const int exponents : {0, 3, 40, 125}) {
        const Tensor x = w.tensor(dtype, drawn(count, count + 1, exponents));
        EXPECT_EQ(w.sum(x), reference_sum(values_of(x))) << count << " " << dtype << " " << exponents;
      }
    }
  }
}

TEST(ExactSquares, AreThoseOfIntegersWithoutRounding) {
  World w;
  std::mt19937_64 random(3);
  Values values(30000);
  uint64_t expected = 0;
  for (double& v : values) {
    const uint64_t n = random() % (1 << 17);
    expected += n * n;
    v = static_cast<double>(n) * (n % 2 ? 1 : -1);
  }
  ASSERT_LT(expected, uint64_t{1} << 53);
  EXPECT_EQ(w.sum(w.tensor(DType::f32, values)), static_cast<double>(expected));
}

// 2^200 + 2^-200 - 2^200: an f64 sum would lose the small one.
TEST(ExactSquares, LoseNoSmallTermBesideALargeOne) {
  World w;
  Values digits = w.digits(w.tensor(DType::f32, {0x1p100, 0x1p-100, 0x1p-140}));
  const Values large = w.digits(w.tensor(DType::f32, {0x1p100}));
  for (size_t k = 0; k < digits.size(); ++k) digits[k] -= large[k];
  EXPECT_EQ(value_of_digits(digits), 0x1p-200 + 0x1p-280);
}

// The terms of a sum in any order, divided in any way.
TEST(ExactSquares, DoNotDependOnTheOrderOrTheDivisionOfTheElements) {
  World w;
  std::mt19937_64 random(11);
  for (const DType dtype : kFloats) {
    Values values = drawn(5000, 5, 60);
    const double whole = w.sum(w.tensor(dtype, values));
    for (int repetition = 0; repetition < 20; ++repetition) {
      std::shuffle(values.begin(), values.end(), random);
      Values digits(kSquareDigits);
      for (size_t begin = 0; begin < values.size();) {
        const size_t end = std::min(values.size(), begin + 1 + random() % 1500);
        const Values part = w.digits(w.tensor(
            dtype, Values(values.begin() + static_cast<int64_t>(begin), values.begin() + static_cast<int64_t>(end))));
        for (size_t k = 0; k < digits.size(); ++k) digits[k] += part[k];
        begin = end;
      }
      EXPECT_EQ(value_of_digits(digits), whole) << dtype;
    }
  }
}

TEST(ExactSquares, GiveTheSameDigitsForAnyNumberOfThreads) {
  World w;
  const Tensor x = w.tensor(DType::f32, drawn(100003, 9, 30));
  const int before = num_threads();
  set_num_threads(1);
  const Values one = w.digits(x);
  set_num_threads(3);
  EXPECT_EQ(w.digits(x), one);
  set_num_threads(before);
}

TEST(ExactSquares, AreWithinARoundingOfASumInF64) {
  World w;
  const Values values = drawn(50000, 1, 0);
  const double expected =
      std::inner_product(values.begin(), values.end(), values.begin(), 0.0);  // off by up to count roundings
  EXPECT_NEAR(w.sum(w.tensor(DType::f64, values)) / expected, 1, 1e-12);
}

TEST(ExactSquares, HoldTheLargestAndTheSmallestNumbersOfF32) {
  World w;
  const double largest = std::numeric_limits<float>::max(), smallest = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(w.sum(w.tensor(DType::f32, {smallest})), smallest * smallest);
  EXPECT_EQ(w.sum(w.tensor(DType::f32, {largest, -largest})), 2 * largest * largest);
  EXPECT_EQ(w.sum(w.tensor(DType::f32, Values(1 << 16, largest))), std::ldexp(largest * largest, 16));
  for (const double digit : w.digits(w.tensor(DType::f32, Values(1 << 16, largest))))
    EXPECT_LE(std::abs(digit), 0x1p30);
}

TEST(ExactSquares, RoundEachSquareOfF64ThatIsBelowTheLastDigit) {
  World w;
  for (const double x : {0x1.8p-180, 0x1p-181, 0x1.7p-181, 0x1.0000001p-180, 1e-200, 3e-170}) {
    const double expected = std::ldexp(std::nearbyint(std::ldexp(x * x, 360)), -360);
    EXPECT_EQ(w.sum(w.tensor(DType::f64, {x})), expected) << x;
    EXPECT_EQ(w.sum(w.tensor(DType::f64, {x, 1, x, x})), w.sum(w.tensor(DType::f64, {x, x, x, 1})));
    EXPECT_EQ(reference_sum({x}), expected) << x;
  }
}

TEST(ExactSquares, HoldManyOfTheLargestNumbersThatAreAllowed) {
  World w;
  const Values largest(1 << 15, 0x1.fffffffffffffp144);
  const double sum = w.sum(w.tensor(DType::f64, largest));
  EXPECT_EQ(sum, std::ldexp(largest[0] * largest[0], 15));
  EXPECT_EQ(sum, reference_sum(largest));
}

TEST(ExactSquares, OfASumThatIsNotFiniteAreNotFinite) {
  World w;
  for (const DType dtype : kFloats) {
    for (const size_t at : {0u, 511u, 512u, 16383u, 16384u, 19999u}) {
      for (const double bad : {NAN, -NAN, INFINITY, -INFINITY}) {
        Values values = drawn(20000, 2, 0);
        values[at] = bad;
        for (const double sum : {w.sum(w.tensor(dtype, values)), reference_sum(values)}) {
          EXPECT_TRUE(std::isnan(bad) ? std::isnan(sum) : sum == INFINITY) << dtype << " " << bad << " " << sum;
        }
      }
    }
  }
  EXPECT_EQ(w.sum(w.tensor(DType::f64, {0x1p145})), INFINITY);
  EXPECT_EQ(reference_sum({0x1p145}), INFINITY);
  EXPECT_EQ(w.sum(w.tensor(DType::f64, {0x1.ffp144})), 0x1.ffp144 * 0x1.ffp144);
}

TEST(ExactSquares, RefuseDigitsOfAnotherShapeOrType) {
  World w;
  const Tensor x = w.tensor(DType::f32, {1, 2, 3});
  EXPECT_THROW(exact_squares(w.stream, {w.arena.take(DType::f64, {kSquareDigits - 1}), x}), UserError);
  EXPECT_THROW(exact_squares(w.stream, {w.arena.take(DType::f32, {kSquareDigits}), x}), UserError);
  EXPECT_THROW(exact_squares(w.stream, {w.arena.take(DType::f64, {kSquareDigits}), w.arena.take(DType::i32, {3})}),
               UserError);
  EXPECT_THROW(value_of_digits(Values(3)), BugError);
}

}  // namespace
}  // namespace birkhoff::test

// Compares the fp8_block recipe with an emulation written from its definition: quantize each operand in its own blocks,
// sum the products of a block, scale, add the blocks.
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "kernels/core/philox.h"
#include "kernels/gemm/fp8.h"
#include "kernels/gemm/precision.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

using Matrix = std::vector<double>;

struct Sizes {
  int64_t T, O, I;
  ScaleFormat scales = ScaleFormat::f32;
};

// Values [rows, columns] quantized in blocks [block_rows, block_columns]: for each element, the value of its code and
// its scale.
struct Quantized {
  Matrix codes, scales;
};
Quantized quantize(const Matrix& values, int64_t columns, int64_t block_rows, int64_t block_columns,
                   ScaleFormat format) {
  const int64_t rows = static_cast<int64_t>(values.size()) / columns;
  Quantized q{values, values};
  for (int64_t r0 = 0; r0 < rows; r0 += block_rows) {
    for (int64_t c0 = 0; c0 < columns; c0 += block_columns) {
      const auto for_block = [&](const std::function<void(size_t)>& body) {
        for (int64_t r = r0; r < std::min(rows, r0 + block_rows); ++r) {
          for (int64_t c = c0; c < std::min(columns, c0 + block_columns); ++c) {
            body(static_cast<size_t>(r * columns + c));
          }
        }
      };
      float amax = 0;
      for_block([&](size_t i) { amax = std::max(amax, static_cast<float>(std::abs(values[i]))); });
      float scale = std::max(amax, 1e-4f) / 448.0f;
      if (format == ScaleFormat::ue8m0) scale = std::exp2(std::ceil(std::log2(scale)));
      for_block([&](size_t i) {
        q.codes[i] = e4m3_decode(e4m3_encode(static_cast<float>(values[i]) / scale));
        q.scales[i] = scale;
      });
    }
  }
  return q;
}

// c[m,n] = sum over blocks of 128 k; `a(m,k)` and `b(k,n)` are flat indices.
struct Product {
  int64_t M, N, K;
  std::function<size_t(int64_t, int64_t)> a, b;
};
Matrix multiply(const Product& p, const Quantized& a, const Quantized& b) {
  Matrix c(static_cast<size_t>(p.M * p.N));
  for (int64_t m = 0; m < p.M; ++m) {
    for (int64_t n = 0; n < p.N; ++n) {
      float sum = 0;
      for (int64_t k0 = 0; k0 < p.K; k0 += 128) {
        float part = 0;
        for (int64_t k = k0; k < std::min(p.K, k0 + 128); ++k) {
          part += static_cast<float>(a.codes[p.a(m, k)] * b.codes[p.b(k, n)]);
        }
        sum += part * static_cast<float>(a.scales[p.a(m, k0)] * b.scales[p.b(k0, n)]);
      }
      c[static_cast<size_t>(m * p.N + n)] = sum;
    }
  }
  return c;
}

struct Results {
  Matrix y, dx, dw;
};

// Operands with outliers, for which the recipe is meant, rounded to bf16.
Matrix operand(uint64_t key, int64_t count) {
  Matrix out;
  const Philox random(5, key);
  for (int64_t i = 0; i < count; ++i) {
    const double v = random.normal(static_cast<uint64_t>(i)) * (i % 97 == 0 ? 30 : 1);
    out.push_back(static_cast<double>(static_cast<float>(bfloat16(static_cast<float>(v)))));
  }
  return out;
}

struct Operands {
  explicit Operands(Sizes s) : x(operand(1, s.T * s.I)), dy(operand(2, s.T * s.O)), w(operand(3, s.O * s.I)) {}
  Matrix x, dy, w;
};

Results emulate(Sizes s, const Operands& in) {
  const auto index = [](int64_t columns) {
    return [=](int64_t r, int64_t c) { return static_cast<size_t>(r * columns + c); };
  };
  const auto turned = [](int64_t columns) {
    return [=](int64_t r, int64_t c) { return static_cast<size_t>(c * columns + r); };
  };
  const auto q = [&](const Matrix& values, int64_t columns, int64_t block_rows, int64_t block_columns) {
    return quantize(values, columns, block_rows, block_columns, s.scales);
  };
  const Quantized w = q(in.w, s.I, 128, 128);
  return {multiply({s.T, s.O, s.I, index(s.I), turned(s.I)}, q(in.x, s.I, 1, 128), w),
          multiply({s.T, s.I, s.O, index(s.O), index(s.I)}, q(in.dy, s.O, 1, 128), w),
          multiply({s.O, s.I, s.T, turned(s.O), index(s.I)}, q(in.dy, s.O, 128, 1), q(in.x, s.I, 128, 1))};
}

Results recipe(DeviceKind kind, Sizes s, const Operands& in) {
  Arena arena{Device{kind}};
  Stream stream{Device{kind}};
  const Precision precision(Recipe::fp8_block, s.scales);
  const auto take = [&](DType dtype, Shape shape, const Matrix& values) {
    const Tensor t = arena.take(dtype, shape);
    set_values(t, values);
    return t;
  };
  const Tensor x = take(DType::bf16, {s.T, s.I}, in.x), dy = take(DType::bf16, {s.T, s.O}, in.dy);
  const Weight w{take(DType::f32, {s.O, s.I}, in.w)};
  const Tensor y = arena.take(DType::f32, {s.T, s.O}), dx = arena.take(DType::f32, {s.T, s.I});
  const Tensor dw = take(DType::f32, {s.O, s.I}, Matrix(in.w.size(), 0));
  const auto gemms = precision.linear(s.O, s.I);
  gemms->forward(stream, y, x, w);
  gemms->backward_input(stream, dx, dy, w);
  gemms->backward_weight(stream, dw, dy, x);
  return {values_of(y), values_of(dx), values_of(dw)};
}

class Fp8Gemm : public testing::TestWithParam<Sizes> {};

TEST_P(Fp8Gemm, EqualsAnIndependentEmulation) {
  const Sizes s = GetParam();
  const Operands in(s);
  const Results actual = recipe(DeviceKind::cpu, s, in), expected = emulate(s, in);
  EXPECT_LE(scaled_error(actual.y, expected.y), bound(DType::f32, s.I));
  EXPECT_LE(scaled_error(actual.dx, expected.dx), bound(DType::f32, s.O));
  EXPECT_LE(scaled_error(actual.dw, expected.dw), bound(DType::f32, s.T));
}

// 1 - 2 <x,y> / (<x,x> + <y,y>), the acceptance metric of DeepGEMM's tests.
double difference(const Matrix& x, const Matrix& y) {
  double xy = 0, squares = 0;
  for (size_t i = 0; i < x.size(); ++i) xy += x[i] * y[i], squares += x[i] * x[i] + y[i] * y[i];
  return squares == 0 ? 0 : 1 - 2 * xy / squares;
}

TEST_P(Fp8Gemm, IsWithinAThousandthOfTheExactProduct) {
  const Sizes s = GetParam();
  const Operands in(s);
  const Results actual = recipe(DeviceKind::cpu, s, in), exact = recipe(DeviceKind::reference, s, in);
  for (const auto& [a, e] : {std::pair{actual.y, exact.y}, {actual.dx, exact.dx}, {actual.dw, exact.dw}}) {
    EXPECT_LT(difference(a, e), 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Fp8Gemm,
                         testing::Values(Sizes{0, 8, 8}, Sizes{1, 3, 5}, Sizes{128, 128, 128}, Sizes{200, 130, 257},
                                         Sizes{65, 300, 96}, Sizes{0, 8, 8, ScaleFormat::ue8m0},
                                         Sizes{5, 33, 70, ScaleFormat::ue8m0},
                                         Sizes{200, 130, 257, ScaleFormat::ue8m0}));

TEST(Fp8Gemm, ExactAndQuantizedDiffer) {
  const Sizes s{64, 64, 128};
  const Operands in(s);
  EXPECT_GT(difference(recipe(DeviceKind::cpu, s, in).y, recipe(DeviceKind::reference, s, in).y), 1e-5);
}

TEST(Fp8Gemm, ScalesOfPowersOfTwoGiveOtherCodes) {
  const Operands in({64, 64, 128});
  EXPECT_NE(recipe(DeviceKind::cpu, {64, 64, 128, ScaleFormat::ue8m0}, in).y,
            recipe(DeviceKind::cpu, {64, 64, 128, ScaleFormat::f32}, in).y);
}

void expect_experts_equal_linear(ScaleFormat scales) {
  const std::vector<int64_t> offsets{0, 130, 130, 141};
  const int64_t E = 3, O = 70, I = 140, R = offsets.back();
  const Operands in({R, O * E, I});
  Arena arena{Device{}};
  Stream stream;
  const auto take = [&](DType dtype, Shape shape, const Matrix& values) {
    const Tensor t = arena.take(dtype, shape);
    set_values(t, Matrix(values.begin(), values.begin() + t.count()));
    return t;
  };
  const Tensor x = take(DType::bf16, {R, I}, in.x), dy = take(DType::bf16, {R, O}, in.dy);
  const Tensor w = take(DType::f32, {E, O, I}, in.w), zero = take(DType::f32, {E, O, I}, Matrix(in.w.size(), 0));
  const Tensor index = arena.take(DType::i64, {E + 1});
  set_values(index, {offsets.begin(), offsets.end()});
  const Tensor y = arena.take(DType::bf16, {R, O}), dx = arena.take(DType::bf16, {R, I});
  const auto grouped = Precision(Recipe::fp8_block, scales).grouped(E, O, I);
  grouped->forward(stream, y, x, {w}, index);
  grouped->backward_input(stream, dx, dy, {w}, index);
  grouped->backward_weight(stream, zero, dy, x, index);
  for (int64_t e = 0; e < E; ++e) {
    const int64_t row = offsets[static_cast<size_t>(e)], num = offsets[static_cast<size_t>(e) + 1] - row;
    const Tensor y1 = arena.take(DType::bf16, {num, O}), dx1 = arena.take(DType::bf16, {num, I});
    const Tensor dw1 = take(DType::f32, {O, I}, Matrix(static_cast<size_t>(O * I), 0));
    const auto linear = Precision(Recipe::fp8_block, scales).linear(O, I);
    const Weight we{w.rows(e, 1).view({O, I})};
    linear->forward(stream, y1, x.rows(row, num), we);
    linear->backward_input(stream, dx1, dy.rows(row, num), we);
    linear->backward_weight(stream, dw1, dy.rows(row, num), x.rows(row, num));
    EXPECT_EQ(values_of(y1), values_of(y.rows(row, num)));
    EXPECT_EQ(values_of(dx1), values_of(dx.rows(row, num)));
    EXPECT_EQ(values_of(dw1), values_of(zero.rows(e, 1)));
  }
}

TEST(Fp8Gemm, EachExpertEqualsALinearLayerOnItsRows) {
  for (const ScaleFormat scales : {ScaleFormat::f32, ScaleFormat::ue8m0}) expect_experts_equal_linear(scales);
}

}  // namespace
}  // namespace birkhoff::test

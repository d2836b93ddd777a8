#include "kernels/hyper/sinkhorn.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/random.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"
#include "tests/support/vectors.h"

namespace birkhoff::test {
namespace {

OpCase sinkhorn_case(int64_t T, int64_t S, SinkhornOptions options) {
  OpCase c;
  c.parameter("logits", {T, S, S}).output_f32("comb", {T, S, S});
  c.forward([=](Stream& s, const Tensors& t) { sinkhorn_forward(s, {t["comb"], t["logits"], options}); });
  c.backward([=](Stream& s, const Tensors& t) {
    sinkhorn_backward(s, {t["d_logits"], t["d_comb"], t["logits"], options});
  });
  return c;
}

class Sinkhorn : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(Sinkhorn, CpuEqualsReference) {
  const auto [T, S] = GetParam();
  sinkhorn_case(T, S, {}).expect_cpu_equals_reference(40 * S, 4);
  sinkhorn_case(T, S, {1, 1e-6f}).expect_cpu_equals_reference(40 * S, 4);
}

TEST_P(Sinkhorn, BackwardMatchesFiniteDifferences) {
  const auto [T, S] = GetParam();
  sinkhorn_case(T, S, {}).expect_gradients({"logits"}, {"comb"});
  sinkhorn_case(T, S, {1, 0}).expect_gradients({"logits"}, {"comb"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, Sinkhorn,
                         testing::Values(std::pair{0, 4}, std::pair{3, 1}, std::pair{5, 2}, std::pair{33, 4},
                                         std::pair{17, 5}));

TEST(Sinkhorn, SumsOverInputsToOneAndOnlyNearlyOverOutputs) {
  const std::vector<double> comb = sinkhorn_case(64, 4, {}).result(Device{}, DType::f32, "comb");
  for (size_t line = 0; line < comb.size() / 4; ++line) {
    const size_t at = line / 4 * 16, k = line % 4;
    const double over_inputs = comb[at + k] + comb[at + 4 + k] + comb[at + 8 + k] + comb[at + 12 + k];
    const double over_outputs = comb[at + 4 * k] + comb[at + 4 * k + 1] + comb[at + 4 * k + 2] + comb[at + 4 * k + 3];
    EXPECT_NEAR(over_inputs, 1, 3e-6);
    EXPECT_NEAR(over_outputs, 1, 1e-3);
  }
}

// Logits of one matrix [4, 4], and how far its sums over the outputs may be from 1. If no input wants some output, a
// fixed number of iterations cannot make the matrix doubly stochastic.
struct Extreme {
  std::string name;
  std::vector<float> logits;
  double bound_over_outputs;
};
void PrintTo(const Extreme& extreme, std::ostream* out) { *out << extreme.name; }

std::vector<float> diagonal(float value) {
  std::vector<float> logits(16, 0);
  for (size_t i = 0; i < 4; ++i) logits[5 * i] = value;
  return logits;
}
std::vector<float> one_column(float value) {
  std::vector<float> logits(16, 0);
  for (size_t i = 0; i < 4; ++i) logits[4 * i] = value;
  return logits;
}
std::vector<float> one_row(float value) {
  std::vector<float> logits(16, 0);
  std::fill(logits.begin() + 4, logits.begin() + 8, value);
  return logits;
}

class ExtremeSinkhorn : public testing::TestWithParam<std::tuple<Extreme, DeviceKind>> {};

TEST_P(ExtremeSinkhorn, StaysFiniteAndStochastic) {
  const auto& [extreme, device] = GetParam();
  Stream stream{Device{device}, nullptr, nullptr};
  Arena arena{stream.device};
  const Shape shape{1, 4, 4};
  const Tensor logits = arena.take(DType::f32, shape), comb = arena.take(DType::f32, shape),
               dcomb = arena.take(DType::f32, shape), dlogits = arena.take(DType::f32, shape);
  from_doubles(stream, logits, std::vector<double>(extreme.logits.begin(), extreme.logits.end()).data());
  std::vector<double> ramp(16);
  std::iota(ramp.begin(), ramp.end(), -7);
  from_doubles(stream, dcomb, ramp.data());
  sinkhorn_forward(stream, {comb, logits, {}});
  sinkhorn_backward(stream, {dlogits, dcomb, logits, {}});
  const std::vector<double> m = read_values(stream, comb), d = read_values(stream, dlogits);
  for (size_t i = 0; i < 4; ++i) {
    double over_inputs = 0, over_outputs = 0;
    for (size_t j = 0; j < 4; ++j) {
      EXPECT_TRUE(std::isfinite(d[4 * i + j]));
      EXPECT_GE(m[4 * i + j], 0);
      over_inputs += m[4 * j + i];
      over_outputs += m[4 * i + j];
    }
    EXPECT_NEAR(over_inputs, 1, 3e-6);
    EXPECT_NEAR(over_outputs, 1, extreme.bound_over_outputs);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Logits, ExtremeSinkhorn,
    testing::Combine(testing::Values(Extreme{"all zero", std::vector<float>(16, 0), 1e-5},
                                     Extreme{"one row of zeros", one_row(-1e4f), 1e-5},
                                     Extreme{"one huge row", one_row(1e30f), 1e-5},
                                     Extreme{"a huge diagonal", diagonal(3e38f), 1e-5},
                                     Extreme{"a diagonal of hugely negative numbers", diagonal(-3e38f), 1e-5},
                                     Extreme{"one output that all inputs want", one_column(3e38f), 1e-5}),
                     testing::Values(DeviceKind::reference, DeviceKind::cpu)));

TEST(Sinkhorn, RefusesWhatIsNotSquare) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor logits = arena.take(DType::f32, {2, 3, 4}), square = arena.take(DType::f32, {2, 4, 4});
  EXPECT_THROW(sinkhorn_forward(stream, {logits, logits, {}}), UserError);
  EXPECT_THROW(sinkhorn_forward(stream, {square, square, {0, 1e-6f}}), UserError);
}

// The largest |sum - 1|, first of sums over the input streams, then of sums over the output streams.
std::pair<double, double> largest_sum_errors(const std::vector<double>& comb, size_t n) {
  double worst_in = 0, worst_out = 0;
  for (size_t line = 0; line < comb.size() / n; ++line) {
    double in = 0, out = 0;
    for (size_t k = 0; k < n; ++k) {
      in += comb[(line / n * n + k) * n + line % n];
      out += comb[line * n + k];
    }
    worst_in = std::max(worst_in, std::abs(in - 1));
    worst_out = std::max(worst_out, std::abs(out - 1));
  }
  return {worst_in, worst_out};
}

// Computes one matrix by the formula of the header.
std::vector<double> plain_sinkhorn(std::vector<double> m, size_t n, const SinkhornOptions& o) {
  auto divide = [&](size_t line, size_t along) {
    for (size_t i = 0; i < n; ++i) {
      double sum = o.eps;
      for (size_t k = 0; k < n; ++k) sum += m[i * line + k * along];
      for (size_t k = 0; k < n; ++k) m[i * line + k * along] /= sum;
    }
  };
  for (size_t i = 0; i < n; ++i) {
    double sum = 0;
    for (size_t j = 0; j < n; ++j) sum += std::exp(m[i * n + j]);
    for (size_t j = 0; j < n; ++j) m[i * n + j] = std::exp(m[i * n + j]) / sum + o.eps;
  }
  divide(1, n);
  for (int i = 1; i < o.iterations; ++i) {
    divide(n, 1);
    divide(1, n);
  }
  return m;
}

// The bound is much tighter than for the vectors of other programs: an eps rounded to f32 would move the sums by 5e-11.
TEST(Sinkhorn, ReferenceEqualsPlainLoopsWithAnEpsThatIsNoF32) {
  Stream stream{Device{DeviceKind::reference}};
  Arena arena{stream.device};
  const Tensor logits = arena.take(DType::f32, {1, 4, 4});
  std::vector<double> values;
  for (int i = 0; i < 16; ++i) values.push_back(std::sin(7 * i));
  set_values(logits, values);
  const SinkhornOptions options{20, 1e-3};
  sinkhorn_forward(stream, {logits, logits, options});
  const std::vector<double> expected = plain_sinkhorn(values, 4, options), actual = values_of(logits);
  for (size_t i = 0; i < 16; ++i) EXPECT_NEAR(actual[i], expected[i], 1e-14);
  const auto [in, out] = largest_sum_errors(actual, 4);
  EXPECT_NEAR(in, largest_sum_errors(expected, 4).first, 1e-14);
  EXPECT_NEAR(out, largest_sum_errors(expected, 4).second, 1e-14);
  EXPECT_GT(in, 9e-4);
}

// The bound of docs/formats/vectors.md for a single number: |a - e| <= bound (1 + |e|).
bool agree(double found, double expected, double bound) {
  return std::abs(found - expected) <= bound * (1 + std::abs(expected));
}

void expect_sum_errors(const std::vector<double>& comb, const nlohmann::json& v, double in_bound, double out_bound) {
  const auto [in, out] = largest_sum_errors(comb, v.at("n"));
  EXPECT_TRUE(agree(in, v.at("max_in_sum_err"), in_bound)) << in << " for " << v.at("max_in_sum_err");
  EXPECT_TRUE(agree(out, v.at("max_out_sum_err"), out_bound)) << out << " for " << v.at("max_out_sum_err");
}

// Another program may add in a different order, so the last digits of the sums may differ.
TEST(SinkhornVectorFile, MayHaveTheErrorsOfItsSumsToTheBoundOfThePage) {
  const std::vector<double> comb{0.75, 0.25, 0.25, 0.75 + 1e-3};
  const auto with = [](double in, double out) {
    return nlohmann::json{{"n", 2}, {"max_in_sum_err", in}, {"max_out_sum_err", out}};
  };
  expect_sum_errors(comb, with(1e-3 + 5e-10, 1e-3 - 5e-10), kVectorBound, kVectorBound);
  EXPECT_FALSE(agree(1e-3, 1e-3 + 2e-9, kVectorBound));
  EXPECT_FALSE(agree(1e-3, 1e-3 - 2e-9, kVectorBound));
}

class SinkhornVectors : public testing::TestWithParam<DeviceKind> {};

TEST_P(SinkhornVectors, MatchForwardAndBackward) {
  Stream stream{Device{GetParam()}, nullptr, nullptr};
  const bool exact = GetParam() == DeviceKind::reference;
  for_each_vector("mhc_sinkhorn", [&](const nlohmann::json& v) {
    Arena arena{stream.device};
    const SinkhornOptions options{v.at("iters"), v.at("eps")};
    const Tensor logits = tensor_of(arena, v.at("logits")), dcomb = tensor_of(arena, v.at("grad_out"));
    const Tensor comb = arena.take(DType::f32, logits.shape), dlogits = arena.take(DType::f32, logits.shape);
    sinkhorn_forward(stream, {comb, logits, options});
    sinkhorn_backward(stream, {dlogits, dcomb, logits, options});
    expect_vector(comb, v.at("out"), exact ? kVectorBound : bound(DType::f32, 80), "comb");
    expect_vector(dlogits, v.at("grad_logits"), exact ? kVectorBound : 8 * bound(DType::f32, 80), "dlogits");
    EXPECT_EQ(logits.shape.back(), v.at("n").get<int64_t>());
    expect_sum_errors(values_of(comb), v, exact ? kVectorBound : bound(DType::f32, 4),
                      exact ? kVectorBound : bound(DType::f32, 80));
  });
}

INSTANTIATE_TEST_SUITE_P(Devices, SinkhornVectors, testing::Values(DeviceKind::reference, DeviceKind::cpu));

}  // namespace
}  // namespace birkhoff::test

// Tests how far the row and column sums of random matrices are from 1 after a fixed number of iterations, and how far
// those of products of 60 such matrices are.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "kernels/core/philox.h"
#include "kernels/hyper/gain.h"
#include "kernels/hyper/sinkhorn.h"
#include "tests/support/op_case.h"
#include "tests/support/vectors.h"

namespace birkhoff::test {
namespace {

using nlohmann::json;
using Matrices = std::vector<double>;  // n x n, one after the other

struct Sizes {
  size_t n, draws, layers, chains;
  SinkhornOptions options;
};
// The defaults are the sizes and options of the published numbers.
Sizes sizes_of(const json& file) {
  return {file.value("n", size_t{4}),
          file.value("draws", size_t{20000}),
          file.value("layers", size_t{60}),
          file.value("chains", size_t{300}),
          {file.value("iters", 20), file.value("eps", 1e-6f)}};
}

Matrices normal_matrices(size_t count, size_t n, double std, const char* name) {
  const Philox random(20, key_of(name));
  Matrices out(count * n * n);
  for (size_t i = 0; i < out.size(); ++i) out[i] = std * random.normal(i);
  return out;
}

double sum_over_inputs(const Matrices& m, size_t n, size_t line) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += m[(line / n * n + i) * n + line % n];
  return sum;
}
double sum_over_outputs(const Matrices& m, size_t n, size_t line) {
  return std::accumulate(m.begin() + static_cast<std::ptrdiff_t>(line * n),
                         m.begin() + static_cast<std::ptrdiff_t>((line + 1) * n), 0.0);
}

// The largest |sum - 1| of each matrix, in ascending order.
template <class Sum>
std::vector<double> sum_errors(const Matrices& m, size_t n, Sum sum) {
  std::vector<double> errors(m.size() / (n * n));
  for (size_t line = 0; line < m.size() / n; ++line) {
    errors[line / n] = std::max(errors[line / n], std::abs(sum(m, n, line) - 1));
  }
  std::sort(errors.begin(), errors.end());
  return errors;
}

Matrices product(const Matrices& a, const Matrices& b, size_t n) {
  Matrices c(n * n);
  for (size_t i = 0; i < n * n; ++i) {
    for (size_t k = 0; k < n; ++k) c[i] += a[i / n * n + k] * b[k * n + i % n];
  }
  return c;
}
Matrices transposed(const Matrices& a, size_t n) {
  Matrices out(a.size());
  for (size_t i = 0; i < a.size(); ++i) out[i % n * n + i / n] = a[i];
  return out;
}

// The largest singular value of m. Squares m^T m repeatedly and scales it to trace 1 each time, until only the largest
// eigenvalue is left.
double spectral_norm(const Matrices& m, size_t n) {
  Matrices power = product(transposed(m, n), m, n);
  const Matrices squares = power;
  for (int i = 0; i < 12; ++i) {
    power = product(power, power, n);
    double trace = 0;
    for (size_t k = 0; k < n; ++k) trace += power[k * n + k];
    for (double& value : power) value /= trace;
  }
  const Matrices top = product(squares, power, n);
  double trace = 0;
  for (size_t k = 0; k < n; ++k) trace += top[k * n + k];
  return std::sqrt(trace);
}

Matrices nth(const Matrices& all, size_t n, size_t index) {
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(index * n * n);
  return {begin, begin + static_cast<std::ptrdiff_t>(n * n)};
}
// The product of the layers of each chain.
Matrices composites(const Matrices& all, const Sizes& sizes) {
  Matrices out;
  for (size_t chain = 0; chain < sizes.chains; ++chain) {
    Matrices m = nth(all, sizes.n, chain * sizes.layers);
    for (size_t l = 1; l < sizes.layers; ++l) m = product(m, nth(all, sizes.n, chain * sizes.layers + l), sizes.n);
    out.insert(out.end(), m.begin(), m.end());
  }
  return out;
}

// Both sides come from matrices that were drawn at random with different generators, so they agree only up to sampling
// errors: the distance of each from `center` is at most `factor` times that of the other, plus `floor`.
struct Margin {
  double center, factor, floor;
};
void expect_agrees(double actual, const json& row, const std::string& field, Margin margin) {
  const double expected = row.at(field), a = actual - margin.center, e = expected - margin.center;
  EXPECT_LE(std::abs(a), margin.factor * std::abs(e) + margin.floor) << field << ": " << actual << ", " << expected;
  EXPECT_LE(std::abs(e), margin.factor * std::abs(a) + margin.floor) << field << ": " << actual << ", " << expected;
}

class SinkhornStatsVectors : public testing::TestWithParam<DeviceKind> {
 protected:
  Stream stream{Device{GetParam()}, nullptr, nullptr};
  // The rounding error of a sum over the n streams. Tests of products of 60 matrices allow ten times as much.
  double rounding = GetParam() == DeviceKind::reference ? 1e-12 : 1e-6;

  Matrices projected(const Matrices& logits, size_t n, SinkhornOptions options) {
    Arena arena{stream.device};
    const auto side = static_cast<int64_t>(n), T = static_cast<int64_t>(logits.size()) / (side * side);
    const Tensor m = arena.take(DType::f32, {T, side, side});
    set_values(m, logits);
    sinkhorn_forward(stream, {m, m, options});
    return values_of(m);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, SinkhornStatsVectors, testing::Values(DeviceKind::reference, DeviceKind::cpu));

TEST_P(SinkhornStatsVectors, MatchTheSumsOfRandomMatrices) {
  for_each_vector_file("mhc_sinkhorn_stats", [&](const json& file) {
    const Sizes sizes = sizes_of(file);
    const double eps = static_cast<double>(sizes.options.eps);
    for (const auto& row : file.at("stats")) {
      SCOPED_TRACE(row.at("logit_scale").dump());
      const Matrices logits = normal_matrices(sizes.draws, sizes.n, row.at("logit_scale"), "draws");
      const Matrices m = projected(logits, sizes.n, sizes.options);
      const auto in = sum_errors(m, sizes.n, sum_over_inputs), out = sum_errors(m, sizes.n, sum_over_outputs);
      expect_agrees(in.back(), row, "in_sum_err_max_eps1e-6", {0, 1.02, rounding});
      expect_agrees(out[out.size() / 2], row, "out_sum_err_median", {0, 1.1, rounding});
      expect_agrees(out[out.size() * 99 / 100], row, "out_sum_err_p99", {0, 1.5, rounding});
      // Below a scale of 2, the largest error comes from one draw in many thousands, so it varies more.
      expect_agrees(out.back(), row, "out_sum_err_max", {0, row.at("logit_scale") < 2.0 ? 4.0 : 1.2, rounding});
      double norm = 0;
      for (size_t i = 0; i < sizes.draws; ++i) norm = std::max(norm, spectral_norm(nth(m, sizes.n, i), sizes.n));
      expect_agrees(norm, row, "spectral_norm_max", {1 - eps, 2.5, 1e-5});
      const Matrices without = projected(logits, sizes.n, {sizes.options.iterations, 0});
      expect_agrees(sum_errors(without, sizes.n, sum_over_inputs).back(), row, "in_sum_err_max_eps0",
                    {0, 4, rounding > 1e-9 ? rounding : 0});
    }
  });
}

TEST_P(SinkhornStatsVectors, MatchTheSumsOfProducts) {
  for_each_vector_file("mhc_sinkhorn_stats", [&](const json& file) {
    const Sizes sizes = sizes_of(file);
    const double center = std::pow(1 - static_cast<double>(sizes.options.eps), static_cast<double>(sizes.layers));
    for (const auto& row : file.at("stats")) {
      SCOPED_TRACE(row.at("logit_scale").dump());
      const size_t count = sizes.chains * sizes.layers;
      const Matrices m = composites(
          projected(normal_matrices(count, sizes.n, row.at("logit_scale"), "chains"), sizes.n, sizes.options), sizes);
      std::vector<double> in, out;
      for (size_t line = 0; line < m.size() / sizes.n; ++line) {
        in.push_back(sum_over_inputs(m, sizes.n, line));
        out.push_back(sum_over_outputs(m, sizes.n, line));
      }
      const Margin narrow{center, 3, std::max(1e-9, 10 * rounding)};
      expect_agrees(*std::max_element(in.begin(), in.end()), row, "composite60_in_max", narrow);
      expect_agrees(*std::min_element(in.begin(), in.end()), row, "composite60_in_min", narrow);
      const Margin wide{center, 2.5, row.at("logit_scale") < 0.75 ? 1e-9 + 10 * rounding : 5e-4};
      expect_agrees(*std::max_element(out.begin(), out.end()), row, "composite60_out_max", wide);
      expect_agrees(*std::min_element(out.begin(), out.end()), row, "composite60_out_min", wide);
    }
  });
}

// Without the constraint, a matrix is the identity plus noise whose standard deviation is a twentieth of the scale. The
// gain grows exponentially, so its logarithms are compared.
TEST_P(SinkhornStatsVectors, MatchTheGainWithoutTheConstraint) {
  for_each_vector_file("mhc_sinkhorn_stats", [&](const json& file) {
    const Sizes sizes = sizes_of(file);
    const auto side = static_cast<int64_t>(sizes.n);
    for (const auto& row : file.at("stats")) {
      SCOPED_TRACE(row.at("logit_scale").dump());
      const double std = 0.05 * row.at("logit_scale").get<double>();
      Matrices m = normal_matrices(sizes.chains * sizes.layers, sizes.n, std, "noise");
      for (size_t line = 0; line < m.size() / sizes.n; ++line) m[line * sizes.n + line % sizes.n] += 1;
      double largest = 0;
      for (size_t chain = 0; chain < sizes.chains; ++chain) {
        Arena arena{stream.device};
        std::vector<Tensor> layers(sizes.layers);
        for (size_t l = 0; l < sizes.layers; ++l) {
          layers[l] = arena.take(DType::f32, {1, side, side});
          set_values(layers[l], nth(m, sizes.n, chain * sizes.layers + l));
        }
        const Tensor sums = arena.take(DType::f64, {3});  // of one token
        hyper_gain(stream, {sums, layers});
        largest = std::max(largest, values_of(sums)[0]);
      }
      const double expected = std::log(row.at("unconstrained_I_plus_noise_composite60_amax_max").get<double>());
      EXPECT_GT(std::log(largest), 0.6 * expected);
      EXPECT_LT(std::log(largest), 1.5 * expected);
    }
  });
}

}  // namespace
}  // namespace birkhoff::test

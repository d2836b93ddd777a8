#include "kernels/optim/muon.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

using Matrix = std::vector<std::vector<double>>;

// Orthonormal rows: random rows after Gram-Schmidt, applied twice for accuracy.
Matrix orthonormal_rows(int64_t rows, int64_t columns, uint64_t key) {
  Matrix q;
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<double> v;
    for (int64_t c = 0; c < columns; ++c) v.push_back(normal(key)(r * columns + c));
    for (int pass = 0; pass < 2; ++pass) {
      for (const auto& u : q) {
        double dot = 0;
        for (size_t c = 0; c < v.size(); ++c) dot += u[c] * v[c];
        for (size_t c = 0; c < v.size(); ++c) v[c] -= dot * u[c];
      }
    }
    double norm = 0;
    for (double x : v) norm += x * x;
    for (double& x : v) x /= std::sqrt(norm);
    q.push_back(v);
  }
  return q;
}

// What the iteration does to one singular value of a matrix of Frobenius norm 1.
double polynomial_of(double s) {
  for (int step = 0; step < 10; ++step) {
    const double a = step < 8 ? 3.4445 : 2, b = step < 8 ? -4.7750 : -1.5, c = step < 8 ? 2.0315 : 0.5;
    s = a * s + b * s * s * s + c * s * s * s * s * s;
  }
  return s;
}

// Two matrices [m, n] with the same singular vectors. The singular values of `input` are spaced evenly in the logarithm
// from 1 to `smallest`; those of `output` are what the iteration should make of them.
struct Pair {
  std::vector<double> input, output;
};
Pair with_singular_values(int64_t m, int64_t n, double smallest) {
  const int64_t side = std::min(m, n);
  const Matrix u = orthonormal_rows(side, m, 1), v = orthonormal_rows(side, n, 2);
  Pair p;
  p.input.assign(static_cast<size_t>(m * n), 0);
  p.output = p.input;
  double norm = 0;
  std::vector<double> values;
  for (int64_t i = 0; i < side; ++i) {
    const double at = side == 1 ? 0 : static_cast<double>(i) / static_cast<double>(side - 1);
    values.push_back(std::pow(smallest, at));
    norm += values.back() * values.back();
  }
  for (int64_t k = 0; k < side; ++k) {
    const auto at = static_cast<size_t>(k);
    for (int64_t i = 0; i < m * n; ++i) {
      const double entry = u[at][static_cast<size_t>(i / n)] * v[at][static_cast<size_t>(i % n)];
      p.input[static_cast<size_t>(i)] += entry * values[at];
      p.output[static_cast<size_t>(i)] += entry * polynomial_of(values[at] / std::sqrt(norm));
    }
  }
  return p;
}

std::vector<double> orthogonalized(const std::vector<double>& x, Shape shape, DeviceKind kind, DType dtype) {
  Arena arena{Device{kind}}, workspace{Device{kind}};
  Stream stream{Device{kind}};
  const Tensor t = arena.take(dtype, shape);
  set_values(t, x);
  newton_schulz(stream, workspace, t);
  EXPECT_EQ(workspace.used_bytes(), 0u);
  return values_of(t);
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

TEST(NewtonSchulz, MapsSingularValuesOfFourDecadesToNearlyOne) {
  for (int i = 0; i <= 4000; ++i) EXPECT_NEAR(polynomial_of(std::pow(10.0, -i / 1000.0)), 1, 2.02e-3);
}

class NewtonSchulzSizes : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(NewtonSchulzSizes, KeepsSingularVectorsAndAppliesThePolynomialToSingularValues) {
  const auto [m, n] = GetParam();
  const Pair p = with_singular_values(m, n, 1e-3);
  const auto exact = orthogonalized(p.input, {m, n}, DeviceKind::reference, DType::f32);
  EXPECT_LE(largest_difference(exact, p.output), kVectorBound);
  // The iteration magnifies errors of its first steps as much as small singular values: by the inverse of the smallest.
  const auto single = orthogonalized(p.input, {m, n}, DeviceKind::cpu, DType::f32);
  EXPECT_LE(largest_difference(single, p.output), 1e3 * bound(DType::f32, n));
}

TEST_P(NewtonSchulzSizes, GivesARotationTimesItsTransposeCloseToOne) {
  const auto [m, n] = GetParam();
  const int64_t side = std::min(m, n), longest = std::max(m, n);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto x = orthogonalized(with_singular_values(m, n, 1e-2).input, {m, n}, DeviceKind::cpu, dtype);
    auto at = [&, columns = n, wide = m <= n](int64_t i, int64_t j) {
      return x[static_cast<size_t>(wide ? i * columns + j : j * columns + i)];
    };
    for (int64_t i = 0; i < side; ++i) {
      for (int64_t j = 0; j < side; ++j) {
        double dot = 0;
        for (int64_t k = 0; k < longest; ++k) dot += at(i, k) * at(j, k);
        // Each singular value is within 2.02e-3 of 1, so its square within twice that; bf16 keeps eight bits.
        EXPECT_NEAR(dot, i == j, dtype == DType::f32 ? 5e-3 : 5e-2) << i << "," << j << " " << dtype;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, NewtonSchulzSizes,
                         testing::Values(std::pair{1, 1}, std::pair{1, 9}, std::pair{7, 3}, std::pair{16, 16},
                                         std::pair{24, 65}, std::pair{65, 24}));

TEST(NewtonSchulz, LeavesZerosAndEmptyMatricesUnchanged) {
  EXPECT_EQ(orthogonalized(std::vector<double>(6, 0), {2, 3}, DeviceKind::cpu, DType::f32), std::vector<double>(6, 0));
  EXPECT_TRUE(orthogonalized({}, {0, 3}, DeviceKind::cpu, DType::f32).empty());
  EXPECT_TRUE(orthogonalized({}, {3, 0}, DeviceKind::reference, DType::f32).empty());
}

struct MuonWorld {
  MuonWorld(DeviceKind kind, DType momentum, Shape shape)
      : arena(Device{kind}), workspace(Device{kind}), stream{Device{kind}} {
    a.weight = arena.take(DType::f32, shape);
    a.weight_copy = arena.take(DType::bf16, shape);
    a.grad = arena.take(DType::f32, shape);
    a.momentum = arena.take(momentum, shape);
    a.hyper = {0.02, 0.95, 0.1, 0.18, 0.5};
  }
  Arena arena, workspace;
  Stream stream;
  MuonArgs a;
};

TEST(Muon, FollowsItsFormulaForTwoSteps) {
  const Shape shape{6, 10};
  for (const DType momentum : {DType::f32, DType::bf16}) {
    MuonWorld w(DeviceKind::cpu, momentum, shape);
    std::vector<double> weight(60), m(60, 0), g(60), u(60);
    for (size_t i = 0; i < 60; ++i) weight[i] = normal(1)(static_cast<int64_t>(i));
    set_values(w.a.weight, weight);
    set_values(w.a.momentum, m);
    for (uint64_t step = 0; step < 2; ++step) {
      for (size_t i = 0; i < 60; ++i) g[i] = normal(5 + step)(static_cast<int64_t>(i));
      set_values(w.a.grad, g);
      muon(w.stream, w.workspace, w.a);
      for (size_t i = 0; i < 60; ++i) {
        m[i] = 0.95 * m[i] + 0.5 * g[i];
        u[i] = 0.95 * m[i] + 0.5 * g[i];
      }
      const auto o = orthogonalized(u, shape, DeviceKind::reference, DType::f32);
      for (size_t i = 0; i < 60; ++i) weight[i] -= 0.02 * (0.1 * weight[i] + 0.18 * std::sqrt(10.0) * o[i]);
    }
    const double slack = 0.02 * 0.18 * std::sqrt(10.0) * 4;  // the size of an update relative to the weight, four times
    EXPECT_LE(largest_difference(values_of(w.a.momentum), m), 4 * bound(momentum, 1));
    EXPECT_LE(largest_difference(values_of(w.a.weight), weight), bound(DType::f32, 10) + slack * bound(momentum, 10));
    EXPECT_LE(scaled_error(values_of(w.a.weight_copy), values_of(w.a.weight)), bound(DType::bf16, 1));
  }
}

TEST(Muon, UpdatesHaveTheRootMeanSquareAskedFor) {
  const Shape shape{64, 16};
  MuonWorld w(DeviceKind::cpu, DType::f32, shape);
  w.a.hyper = {1, 0.95, 0, 0.18, 1};
  w.a.compute = DType::bf16;
  std::vector<double> zeros(64 * 16, 0), g;
  for (int64_t i = 0; i < 64 * 16; ++i) g.push_back(normal(3)(i));
  set_values(w.a.weight, zeros);
  set_values(w.a.momentum, zeros);
  set_values(w.a.grad, g);
  muon(w.stream, w.workspace, w.a);
  double squares = 0;
  for (double x : values_of(w.a.weight)) squares += x * x;
  EXPECT_NEAR(std::sqrt(squares / (64 * 16)), 0.18, 0.01);
}

TEST(Muon, RunsWithoutDataOnTheMetaDevice) {
  MuonWorld w(DeviceKind::meta, DType::f32, {300, 200});
  muon(w.stream, w.workspace, w.a);
  EXPECT_GE(w.workspace.peak_bytes(), size_t{4} * (2 * 300 * 200 + 2 * 200 * 200));
}

TEST(Muon, RefusesShapesThatDisagree) {
  MuonWorld w(DeviceKind::cpu, DType::f32, {2, 3});
  w.a.grad = w.arena.take(DType::f32, {3, 2});
  EXPECT_THROW(muon(w.stream, w.workspace, w.a), UserError);
  EXPECT_THROW(newton_schulz(w.stream, w.workspace, w.arena.take(DType::f32, {4})), UserError);
}

}  // namespace
}  // namespace birkhoff::test

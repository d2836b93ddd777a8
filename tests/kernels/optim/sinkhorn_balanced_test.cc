#include "kernels/optim/sinkhorn_balanced.h"

#include <barrier>
#include <cmath>
#include <numeric>
#include <thread>

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"
#include "tests/support/vectors.h"

namespace birkhoff::test {
namespace {

SinkhornBalancedHyper hyper_of(int iterations) { return {0.01, 0.95, 0.18, 1e-3, 1e-20, 0.5, iterations}; }

// A table whose gradient is zero in every third row, like the rows that no token touched.
struct World {
  World(DeviceKind kind, DType momentum, int64_t m, int64_t n)
      : arena(Device{kind}), workspace(Device{kind}), stream{Device{kind}} {
    a.weight = filled(DType::f32, {m, n}, [](int64_t i) { return normal(1)(i); });
    a.weight_copy = filled(DType::bf16, {m, n}, [](int64_t i) { return normal(1)(i); });
    a.momentum = filled(momentum, {m, n}, [=](int64_t i) { return i / n % 3 == 1 ? 0 : 0.01 * normal(2)(i); });
    a.grad = filled(DType::f32, {m, n}, [=](int64_t i) { return i / n % 3 == 1 ? 0 : normal(3)(i); });
    a.hyper = hyper_of(11);
  }
  Tensor filled(DType dtype, Shape shape, const Fill& fill) {
    const Tensor t = arena.take(dtype, shape);
    std::vector<double> values;
    for (int64_t i = 0; i < shape.count(); ++i) values.push_back(static_cast<float>(fill(i)));
    set_values(t, values);
    return t;
  }
  void list_rows(DType dtype) {
    const int64_t m = a.weight.shape[0], n = a.weight.shape[1];
    const auto dense = values_of(a.grad);
    std::vector<double> ids, values;
    for (int64_t i = 0; i < m; ++i) {
      if (i % 3 == 1) continue;
      ids.push_back(static_cast<double>(i));
      values.insert(values.end(), dense.begin() + i * n, dense.begin() + (i + 1) * n);
    }
    const auto U = static_cast<int64_t>(ids.size());
    set_values(a.rows = arena.take(dtype, {U}), ids);
    set_values(a.grad = arena.take(DType::f32, {U, n}), values);
  }
  void run() { sinkhorn_balanced(stream, workspace, a); }

  Arena arena, workspace;
  Stream stream;
  SinkhornBalancedArgs a;
};

// The algorithm as published: it stores the matrix U and rewrites it k times.
struct Published {
  std::vector<double> momentum, weight;
};
Published published(const World& w) {
  const int64_t m = w.a.weight.shape[0], n = w.a.weight.shape[1];
  const SinkhornBalancedHyper& h = w.a.hyper;
  Published p{values_of(w.a.momentum), values_of(w.a.weight)};
  std::vector<double> u(p.weight.size()), rho(static_cast<size_t>(m), 0);
  const auto g = values_of(w.a.grad);
  for (size_t i = 0; i < u.size(); ++i) {
    p.momentum[i] = h.momentum * p.momentum[i] + (1 - h.momentum) * h.grad_scale * g[i];
    u[i] = h.momentum * p.momentum[i] + (1 - h.momentum) * h.grad_scale * g[i];
  }
  auto at = [&](int64_t i, int64_t j) -> double& { return u[static_cast<size_t>(i * n + j)]; };
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) rho[static_cast<size_t>(i)] += at(i, j) * at(i, j);
    rho[static_cast<size_t>(i)] = std::sqrt(rho[static_cast<size_t>(i)]);
  }
  const double mean = std::accumulate(rho.begin(), rho.end(), 0.0) / static_cast<double>(m);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n && rho[static_cast<size_t>(i)] <= h.threshold * mean; ++j) at(i, j) = 0;
  }
  for (int k = 1; k <= h.iterations; ++k) {
    const bool by_row = k % 2 == 1;
    for (int64_t line = 0; line < (by_row ? m : n); ++line) {
      double squares = 0;
      auto element = [&](int64_t e) -> double& { return by_row ? at(line, e) : at(e, line); };
      for (int64_t e = 0; e < (by_row ? n : m); ++e) squares += element(e) * element(e);
      for (int64_t e = 0; e < (by_row ? n : m); ++e) element(e) /= std::sqrt(squares) + h.eps;
    }
  }
  for (size_t i = 0; i < u.size(); ++i) {
    p.weight[i] -= h.gamma * h.learning_rate * std::sqrt(static_cast<double>(n)) * u[i];
  }
  return p;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

struct Size {
  int64_t m, n;
};
class SinkhornBalanced : public testing::TestWithParam<Size> {};

TEST_P(SinkhornBalanced, ReferenceEqualsTheAlgorithmAsPublished) {
  for (int iterations = 1; iterations <= 6; ++iterations) {
    World w(DeviceKind::reference, DType::f32, GetParam().m, GetParam().n);
    w.a.hyper = hyper_of(iterations);
    const Published expected = published(w);
    w.run();
    EXPECT_LE(largest_difference(values_of(w.a.momentum), expected.momentum), 1e-15);
    EXPECT_LE(largest_difference(values_of(w.a.weight), expected.weight), kVectorBound);
    EXPECT_EQ(values_of(w.a.weight_copy), values_of(w.a.weight));
  }
}

TEST_P(SinkhornBalanced, CpuEqualsReference) {
  const auto [m, n] = GetParam();
  for (const DType momentum : {DType::f32, DType::bf16}) {
    for (const int iterations : {1, 2, 11}) {
      World cpu(DeviceKind::cpu, momentum, m, n), reference(DeviceKind::reference, momentum, m, n);
      set_values(reference.a.momentum, values_of(cpu.a.momentum));
      for (World* w : {&cpu, &reference}) {
        w->a.hyper = hyper_of(iterations);
        w->a.hyper.learning_rate = 1;  // so that the update is as large as the weight
        w->run();
      }
      const double allowed = 2 * bound(momentum, m + n);
      EXPECT_LE(scaled_error(values_of(cpu.a.momentum), values_of(reference.a.momentum)), allowed);
      EXPECT_LE(scaled_error(values_of(cpu.a.weight), values_of(reference.a.weight)), allowed);
      EXPECT_LE(scaled_error(values_of(cpu.a.weight_copy), values_of(cpu.a.weight)), bound(DType::bf16, 1));
    }
  }
}

TEST_P(SinkhornBalanced, ListedRowsEqualTheDenseGradient) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    for (const DType dtype : {DType::i32, DType::i64}) {
      World dense(kind, DType::f32, GetParam().m, GetParam().n), listed(kind, DType::f32, GetParam().m, GetParam().n);
      listed.list_rows(dtype);
      dense.run();
      listed.run();
      EXPECT_EQ(values_of(dense.a.momentum), values_of(listed.a.momentum));
      EXPECT_EQ(values_of(dense.a.weight), values_of(listed.a.weight));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, SinkhornBalanced,
                         testing::Values(Size{0, 3}, Size{1, 1}, Size{5, 3}, Size{24, 8}, Size{700, 33}));

// All-reduce for ranks that are threads. It adds in rank order, as a collective would.
class SumOverThreads {
 public:
  explicit SumOverThreads(int ranks) : barrier_(ranks), parts_(static_cast<size_t>(ranks)) {}
  void operator()(size_t rank, Tensor sums) {
    parts_[rank] = values_of(sums);
    barrier_.arrive_and_wait();
    std::vector<double> total(parts_[rank].size(), 0);
    for (const auto& part : parts_) {
      for (size_t i = 0; i < total.size(); ++i) total[i] += part[i];
    }
    barrier_.arrive_and_wait();
    set_values(sums, total);
  }

 private:
  std::barrier<> barrier_;
  std::vector<std::vector<double>> parts_;
};

TEST(SinkhornBalancedShards, OfRowsEqualTheWholeTable) {
  const int64_t m = 301, n = 17;
  const std::vector<int64_t> begin{0, 100, 100, m};  // the second shard is empty
  World whole(DeviceKind::cpu, DType::f32, m, n), parts(DeviceKind::cpu, DType::f32, m, n);
  parts.list_rows(DType::i64);
  SumOverThreads sum(3);
  std::vector<std::thread> ranks;
  for (size_t rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([&, rank] {
      set_num_threads(1);
      const int64_t first = begin[rank], count = begin[rank + 1] - first;
      SinkhornBalancedArgs a = parts.a;
      a.weight = a.weight.rows(first, count);
      a.weight_copy = a.weight_copy.rows(first, count);
      a.momentum = a.momentum.rows(first, count);
      a.first_row = first;
      a.num_rows = m;
      a.all_reduce = [&](Stream&, Tensor sums) { sum(rank, sums); };
      Stream stream;
      Arena workspace{Device{}};
      sinkhorn_balanced(stream, workspace, a);
    });
  }
  for (auto& rank : ranks) rank.join();
  whole.run();
  EXPECT_EQ(values_of(parts.a.momentum), values_of(whole.a.momentum));
  EXPECT_LE(scaled_error(values_of(parts.a.weight), values_of(whole.a.weight)), bound(DType::f32, m));
}

TEST(SinkhornBalancedValue, KeepsWeightsWhereThereIsNoGradientAtAll) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    World w(kind, DType::f32, 6, 4);
    set_values(w.a.momentum, std::vector<double>(24, 0));
    w.a.grad = {};
    const auto before = values_of(w.a.weight);
    w.run();
    EXPECT_EQ(values_of(w.a.weight), before);
  }
}

TEST(SinkhornBalancedValue, LeavesAColumnOfZerosAlone) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    World w(kind, DType::f32, 6, 4);
    set_values(w.a.momentum, std::vector<double>(24, 0));
    auto grad = values_of(w.a.grad);
    for (size_t i = 0; i < grad.size(); i += 4) grad[i] = 0;
    set_values(w.a.grad, grad);
    const auto before = values_of(w.a.weight);
    w.run();
    const auto after = values_of(w.a.weight);
    for (size_t i = 0; i < after.size(); ++i) {
      EXPECT_TRUE(std::isfinite(after[i]));
      EXPECT_EQ(after[i] == before[i], i % 4 == 0 || i / 4 % 3 == 1) << i;
    }
  }
}

TEST(SinkhornBalancedValue, DoesNotDependOnTheNumberOfThreadsNorOnTheSizeOfTheGradient) {
  World one(DeviceKind::cpu, DType::f32, 500, 12), many(DeviceKind::cpu, DType::f32, 500, 12);
  World small(DeviceKind::cpu, DType::f32, 500, 12);
  set_values(small.a.momentum, std::vector<double>(6000, 0));
  const int before = num_threads();
  set_num_threads(1);
  one.run();
  set_num_threads(3);
  many.run();
  set_num_threads(before);
  EXPECT_EQ(values_of(one.a.weight), values_of(many.a.weight));
  World large(DeviceKind::cpu, DType::f32, 500, 12);
  set_values(large.a.momentum, std::vector<double>(6000, 0));
  small.a.hyper.grad_scale = 0x1p-60;
  small.run();
  large.run();
  EXPECT_LE(scaled_error(values_of(small.a.weight), values_of(large.a.weight)), bound(DType::f32, 1));
}

TEST(SinkhornBalancedVectors, AgreeOnBothDevices) {
  for_each_vector_file("sinkhorn_balanced_update", [](const nlohmann::json& file) {
    for (const DeviceKind kind : {DeviceKind::reference, DeviceKind::cpu}) {
      const auto rows = static_cast<int64_t>(file.at("W0").size());
      const double allowed = kind == DeviceKind::reference ? kVectorBound : bound(DType::f32, rows);
      Arena arena{Device{kind}}, workspace{Device{kind}};
      Stream stream{Device{kind}};
      SinkhornBalancedArgs a;
      a.weight = tensor_of(arena, file.at("W0"));
      a.momentum = arena.take(DType::f32, a.weight.shape);
      set_values(a.momentum, std::vector<double>(static_cast<size_t>(a.weight.count()), 0));
      a.hyper = {file.at("lr"), file.at("beta"), file.at("gamma"), file.at("tau"), file.at("eps"), 1, file.at("K")};
      for (const auto& step : file.at("steps")) {
        const auto before = values_of(a.weight);
        a.grad = tensor_of(arena, step.at("G"));
        sinkhorn_balanced(stream, workspace, a);
        expect_vector(a.momentum, step.at("M"), allowed, "M");
        expect_vector(a.weight, step.at("W"), allowed, "W");
        const auto after = values_of(a.weight), delta = flatten(step.at("delta"));
        const auto width = static_cast<size_t>(a.weight.shape[1]);
        const double rate = a.hyper.gamma * a.hyper.learning_rate;
        std::vector<bool> kept(after.size() / width);
        for (size_t i = 0; i < after.size(); ++i) {
          // Weights are of order one, so in f32 their difference keeps fewer digits of an update.
          EXPECT_NEAR((before[i] - after[i]) / rate, delta[i], kind == DeviceKind::cpu ? allowed / rate : allowed);
          if (before[i] != after[i]) kept[i / width] = true;
        }
        EXPECT_EQ(kept, step.at("kept_rows").get<std::vector<bool>>());
      }
    }
  });
}

TEST(SinkhornBalancedErrors, RefuseShapesThatDisagree) {
  World w(DeviceKind::cpu, DType::f32, 6, 4);
  w.a.grad = w.arena.take(DType::f32, {5, 4});
  EXPECT_THROW(w.run(), UserError);
  World v(DeviceKind::cpu, DType::f32, 6, 4);
  v.a.hyper.iterations = 0;
  EXPECT_THROW(v.run(), UserError);
}

TEST(SinkhornBalancedMeta, RunsWithoutDataAndStillMeetsItsPeers) {
  Arena arena{Device{DeviceKind::meta}};
  Stream stream{Device{DeviceKind::meta}};
  SinkhornBalancedArgs a;
  a.weight = a.momentum = a.grad = arena.take(DType::f32, {50, 8});
  a.hyper = hyper_of(11);
  int calls = 0;
  a.all_reduce = [&](Stream&, Tensor) { ++calls; };
  sinkhorn_balanced(stream, arena, a);
  EXPECT_EQ(calls, 6);
}

}  // namespace
}  // namespace birkhoff::test

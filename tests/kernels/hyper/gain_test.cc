#include "kernels/hyper/gain.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "kernels/hyper/sinkhorn.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

TEST(HyperGain, CpuEqualsReference) {
  for (const auto& [T, S] : {std::pair<int64_t, int64_t>{0, 4}, {3, 1}, {130, 4}}) {
    for (const bool masked : {false, true}) {
      std::vector<int64_t> mask;
      for (int64_t t = 0; t < T; ++t) mask.push_back(t % 3 != 1);
      OpCase c;
      c.parameter("a", {T, S, S}).parameter("b", {T, S, S}).parameter("c", {T, S, S}).output_f32("means", {2});
      c.index_output("tokens", {1});
      if (masked) c.index("mask", mask, DType::u8, {T});
      c.forward([](Stream& s, const Tensors& t) {
        Arena arena(s.device);
        const Tensor combs[] = {t["a"], t["b"], t["c"]}, sums = arena.take(DType::f64, {3});
        hyper_gain(s, {sums, combs, t["mask"]});
        const double *sum = sums.as<double>(), tokens = std::max(sum[2], 1.0);
        set_values(t["means"], {sum[0] / tokens, sum[1] / tokens});
        set_values(t["tokens"], {sum[2]});
      });
      c.expect_cpu_equals_reference(3 * S);
      const auto tokens = static_cast<double>(masked ? std::count(mask.begin(), mask.end(), 1) : T);
      EXPECT_EQ(c.result(Device{}, DType::f32, "tokens"), std::vector<double>{tokens});
    }
  }
}

// comb[i][j] is the weight of input i in output j. The second output receives both inputs, with weights 2 and -3; the
// first receives nothing. At the second token the first output receives only the first input, with weight 7, and at
// the third, which is masked, everything is 100.
TEST(HyperGain, DistinguishesForwardFromBackwardAndLeavesOutMaskedTokens) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
    Arena arena{Device{kind}};
    Stream stream{Device{kind}};
    const Tensor comb = arena.take(DType::f32, {3, 2, 2}), mask = arena.take(DType::u8, {3});
    set_values(comb, {0, 2, 0, -3, 7, 0, 0, 0, 100, 100, 100, 100});
    set_values(mask, {1, 1, 0});
    const auto sums_of = [&](int64_t begin, int64_t num) {
      const Tensor combs[] = {comb.rows(begin, num)}, sums = arena.take(DType::f64, {3});
      hyper_gain(stream, {sums, combs, mask.rows(begin, num)});
      return values_of(sums);
    };
    EXPECT_EQ(sums_of(0, 1), (std::vector<double>{5, 3, 1})) << name_of(kind);
    EXPECT_EQ(sums_of(1, 2), (std::vector<double>{7, 7, 1})) << name_of(kind);
    EXPECT_EQ(sums_of(0, 3), (std::vector<double>{12, 10, 2})) << name_of(kind);
  }
}

double forward_gain_of_sites(DeviceKind kind, double std) {
  Arena arena{Device{kind}};
  Stream stream{Device{kind}, nullptr, nullptr};
  std::vector<Tensor> combs;
  for (uint64_t site = 0; site < 60; ++site) {
    const Tensor comb = arena.take(DType::f32, {20, 4, 4});
    std::vector<double> logits(320);
    for (size_t i = 0; i < logits.size(); ++i) logits[i] = normal(site, std)(static_cast<int64_t>(i));
    set_values(comb, logits);
    sinkhorn_forward(stream, {comb, comb, {}});
    combs.push_back(comb);
  }
  const Tensor sums = arena.take(DType::f64, {3});
  hyper_gain(stream, {sums, combs});
  const std::vector<double> sum = values_of(sums);
  EXPECT_LE(sum[1] / sum[2], 1.6);
  return sum[0] / sum[2];
}

// In a composite of 60 sites with eps 1e-6, sums over inputs lose 60e-6, and sums over outputs gain a little at most.
TEST(HyperGain, StaysNearOneOverSixtySinkhornSites) {
  EXPECT_NEAR(forward_gain_of_sites(DeviceKind::reference, 4), 1 - 60e-6, 1e-7);
  EXPECT_NEAR(forward_gain_of_sites(DeviceKind::cpu, 4), 1 - 60e-6, bound(DType::f32, 60 * 40));
}

}  // namespace
}  // namespace birkhoff::test

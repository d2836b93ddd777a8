#include "kernels/hyper/gain.h"

#include <gtest/gtest.h>

#include "kernels/hyper/sinkhorn.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

TEST(HyperGain, CpuEqualsReference) {
  for (const auto& [T, S] : {std::pair<int64_t, int64_t>{0, 4}, {3, 1}, {130, 4}}) {
    OpCase c;
    c.parameter("a", {T, S, S}).parameter("b", {T, S, S}).parameter("c", {T, S, S}).output_f32("gain", {2});
    c.forward([](Stream& s, const Tensors& t) {
      const Tensor combs[] = {t["a"], t["b"], t["c"]};
      hyper_gain(s, {t["gain"], combs});
    });
    c.expect_cpu_equals_reference(3 * S);
  }
}

// comb[i][j] is the weight of input i in output j. The second output receives both inputs, with weights 2 and -3; the
// first receives nothing.
TEST(HyperGain, DistinguishesForwardFromBackward) {
  OpCase c;
  c.parameter("comb", {1, 2, 2}, [](int64_t i) { return std::array<double, 4>{0, 2, 0, -3}[static_cast<size_t>(i)]; });
  c.output_f32("gain", {2});
  c.forward([](Stream& s, const Tensors& t) {
    const Tensor combs[] = {t["comb"]};
    hyper_gain(s, {t["gain"], combs});
  });
  EXPECT_EQ(c.result(Device{}, DType::f32, "gain"), (std::vector<double>{5, 3}));
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
  const Tensor gain = arena.take(DType::f32, {2});
  hyper_gain(stream, {gain, combs});
  EXPECT_LE(values_of(gain)[1], 1.6);
  return values_of(gain)[0];
}

// In a composite of 60 sites with eps 1e-6, sums over inputs lose 60e-6, and sums over outputs gain a little at most.
TEST(HyperGain, StaysNearOneOverSixtySinkhornSites) {
  EXPECT_NEAR(forward_gain_of_sites(DeviceKind::reference, 4), 1 - 60e-6, 1e-7);
  EXPECT_NEAR(forward_gain_of_sites(DeviceKind::cpu, 4), 1 - 60e-6, bound(DType::f32, 60 * 40));
}

}  // namespace
}  // namespace birkhoff::test

#include "kernels/hyper/sinkhorn.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
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

TEST(Sinkhorn, RefusesWhatIsNotSquare) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor logits = arena.take(DType::f32, {2, 3, 4}), square = arena.take(DType::f32, {2, 4, 4});
  EXPECT_THROW(sinkhorn_forward(stream, {logits, logits, {}}), UserError);
  EXPECT_THROW(sinkhorn_forward(stream, {square, square, {0, 1e-6f}}), UserError);
}

class SinkhornVectors : public testing::TestWithParam<DeviceKind> {};

TEST_P(SinkhornVectors, MatchForwardAndBackward) {
  Stream stream{Device{GetParam()}, nullptr, nullptr};
  const bool exact = GetParam() == DeviceKind::reference;
  const nlohmann::json vectors = load_vectors("mhc_sinkhorn.json");
  for (const auto& v : vectors["cases"]) {
    Arena arena{stream.device};
    const SinkhornOptions options{v["iters"], v["eps"]};
    const Tensor logits = tensor_of(arena, v["logits"]), dcomb = tensor_of(arena, v["grad_out"]);
    const Tensor comb = arena.take(DType::f32, logits.shape), dlogits = arena.take(DType::f32, logits.shape);
    sinkhorn_forward(stream, {comb, logits, options});
    sinkhorn_backward(stream, {dlogits, dcomb, logits, options});
    // An eps of 1e-6f is not 1e-6: its error of 3e-14 enters 40 sums.
    expect_vector(comb, v["out"], exact ? kVectorBound : bound(DType::f32, 80), "comb");
    expect_vector(dlogits, v["grad_logits"], exact ? kVectorBound : 8 * bound(DType::f32, 80), "dlogits");
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, SinkhornVectors, testing::Values(DeviceKind::reference, DeviceKind::cpu));

}  // namespace
}  // namespace birkhoff::test

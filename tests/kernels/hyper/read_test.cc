#include "kernels/hyper/read.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase read_case(int64_t T, int64_t S, int64_t C) {
  OpCase c;
  c.activation("x", {T, S, C}).parameter("pre", {T, S}).output("h", {T, C});
  c.forward([](Stream& s, const Tensors& t) { hyper_read_forward(s, {t["h"], t["x"], t["pre"]}); });
  c.backward([](Stream& s, const Tensors& t) {
    hyper_read_backward(s, {t["d_x"], t["d_pre"], t["d_h"], t["x"], t["pre"]});
  });
  return c;
}

struct Size {
  int64_t T, S, C;
};
class HyperRead : public testing::TestWithParam<Size> {};

TEST_P(HyperRead, CpuEqualsReference) {
  const Size n = GetParam();
  read_case(n.T, n.S, n.C).expect_cpu_equals_reference(n.C);
}

TEST_P(HyperRead, BackwardMatchesFiniteDifferences) {
  const Size n = GetParam();
  read_case(n.T, n.S, n.C).expect_gradients({"x", "pre"}, {"h"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, HyperRead,
                         testing::Values(Size{0, 4, 8}, Size{3, 1, 7}, Size{9, 4, 35}, Size{2, 5, 48}));

TEST(HyperRead, BackwardAddsToTheStreamsGradient) {
  const std::vector<double> once = read_case(3, 4, 8).result(Device{}, DType::f32, "d_x");
  OpCase twice = read_case(3, 4, 8);
  twice.backward([](Stream& s, const Tensors& t) {
    for (int k = 0; k < 2; ++k) hyper_read_backward(s, {t["d_x"], t["d_pre"], t["d_h"], t["x"], t["pre"]});
  });
  const std::vector<double> sum = twice.result(Device{}, DType::f32, "d_x");
  for (size_t i = 0; i < once.size(); ++i) EXPECT_FLOAT_EQ(sum[i], 2 * once[i]);
}

TEST(HyperRead, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  const Tensor x = arena.take(DType::f32, {2, 4, 8});
  EXPECT_THROW(hyper_read_forward(stream, {arena.take(DType::f32, {2, 7}), x, arena.take(DType::f32, {2, 4})}),
               UserError);
}

}  // namespace
}  // namespace birkhoff::test

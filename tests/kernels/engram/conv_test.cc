#include "kernels/engram/conv.h"

#include <gtest/gtest.h>

#include "kernels/core/cpu/parallel.h"
#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

struct Size {
  int64_t T, S, C, K;
  int dilation;
};

// Documents of seven tokens.
OpCase conv_case(Size n) {
  const auto [T, S, C, K, dilation] = n;
  const int step = dilation;
  std::vector<int64_t> start(static_cast<size_t>(T));
  for (size_t t = 0; t < start.size(); ++t) start[t] = static_cast<int64_t>(t / 7 * 7);
  OpCase c;
  c.activation("x", {T, S, C}).parameter("gain", {S, C}, normal(3, 0.2, 1)).parameter("weight", {S, C, K});
  c.index("document_start", start, DType::i32, {T});
  c.output("out", {T, S, C}).statistic_output("rstd", {T, S});
  c.forward([step](Stream& s, const Tensors& t) {
    set_values(t["out"], std::vector<double>(static_cast<size_t>(t["out"].count()), 0.5));
    engram_conv_forward(s, {.out = t["out"],
                            .rstd = t["rstd"],
                            .x = t["x"],
                            .gain = t["gain"],
                            .weight = t["weight"],
                            .document_start = t["document_start"],
                            .dilation = step,
                            .eps = 1e-5f});
  });
  c.backward([step](Stream& s, const Tensors& t) {
    engram_conv_backward(s, {.dx = t["d_x"],
                             .dgain = t["d_gain"],
                             .dweight = t["d_weight"],
                             .dout = t["d_out"],
                             .x = t["x"],
                             .gain = t["gain"],
                             .weight = t["weight"],
                             .rstd = t["rstd"],
                             .document_start = t["document_start"],
                             .dilation = step});
  });
  return c;
}

class EngramConv : public testing::TestWithParam<Size> {};

TEST_P(EngramConv, CpuEqualsReference) {
  const Size n = GetParam();
  conv_case(n).expect_cpu_equals_reference(n.C + n.T + n.K, 4);
}

TEST_P(EngramConv, BackwardMatchesFiniteDifferences) {
  conv_case(GetParam()).expect_gradients({"x", "gain", "weight"}, {"out"});
}

INSTANTIATE_TEST_SUITE_P(Sizes, EngramConv,
                         testing::Values(Size{0, 4, 8, 4, 3}, Size{3, 1, 7, 4, 3}, Size{20, 2, 9, 4, 2},
                                         Size{30, 4, 35, 3, 1}, Size{9, 2, 150, 2, 1}));

TEST(EngramConv, DoesNotDependOnTheNumberOfThreads) {
  const int threads = num_threads();
  for (const char* name : {"out", "d_x", "d_gain", "d_weight"}) {
    set_num_threads(1);
    const auto one = conv_case({101, 2, 150, 4, 3}).result(Device{}, DType::bf16, name);
    set_num_threads(3);
    EXPECT_EQ(conv_case({101, 2, 150, 4, 3}).result(Device{}, DType::bf16, name), one) << name;
  }
  set_num_threads(threads);
}

TEST(EngramConv, AZeroWeightAddsNothing) {
  OpCase c = conv_case({9, 2, 4, 4, 2});
  c.parameter("weight", {2, 4, 4}, constant(0));
  const auto out = c.result(Device{}, DType::f32, "out");
  EXPECT_EQ(out, std::vector<double>(72, 0.5));
}

TEST(EngramConv, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  auto take = [&](Shape shape) { return arena.take(DType::f32, shape); };
  const Tensor x = take({2, 2, 4}), start = arena.take(DType::i32, {2});
  EXPECT_THROW(engram_conv_forward(stream, {.out = x,
                                            .rstd = take({2, 2}),
                                            .x = x,
                                            .gain = take({2, 4}),
                                            .weight = take({2, 3, 4}),
                                            .document_start = start}),
               UserError);
}

}  // namespace
}  // namespace birkhoff::test

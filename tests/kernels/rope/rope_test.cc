#include "kernels/rope/rope.h"

#include <cmath>
#include <complex>

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"

namespace birkhoff::test {
namespace {

struct Sizes {
  int64_t T, H, head, dims, offset;
};
const std::vector<Sizes> kSizes{{0, 2, 8, 4, 2},    {1, 1, 2, 2, 0},    {7, 3, 9, 4, 3},
                                {40, 2, 24, 16, 8}, {6, 3, 77, 64, 10}, {3, 2, 50, 42, 5}};

std::vector<int64_t> positions(int64_t T) {
  std::vector<int64_t> p;
  for (int64_t t = 0; t < T; ++t) p.push_back(t % 29);
  return p;
}

OpCase rope_case(const Sizes& n, RopeLayout layout) {
  OpCase c;
  c.activation("x", {n.T, n.H, n.head}).index("positions", positions(n.T), DType::i32, {n.T});
  c.statistic_output("table", {29, n.dims / 2, 2}).output("y", {n.T, n.H, n.head});
  c.forward([=](Stream& s, const Tensors& t) {
    fill_rope_table(s, t["table"], {layout, 100, {}});
    rope(s, {.y = t["y"],
             .x = t["x"],
             .positions = t["positions"],
             .table = t["table"],
             .offset = n.offset,
             .layout = layout,
             .direction = RopeDirection::forward});
  });
  c.backward([=](Stream& s, const Tensors& t) {
    rope(s, {.y = t["d_x"],
             .x = t["d_y"],
             .positions = t["positions"],
             .table = t["table"],
             .offset = n.offset,
             .layout = layout,
             .direction = RopeDirection::inverse});
  });
  return c;
}

TEST(Rope, CpuEqualsReference) {
  for (const Sizes& n : kSizes) {
    for (RopeLayout layout : {RopeLayout::interleaved, RopeLayout::half})
      rope_case(n, layout).expect_cpu_equals_reference(2);
  }
}

TEST(Rope, InverseIsTheBackward) {
  for (const Sizes& n : kSizes) {
    for (RopeLayout layout : {RopeLayout::interleaved, RopeLayout::half}) {
      rope_case(n, layout).expect_gradients({"x"}, {"y"});
    }
  }
}

TEST(Rope, TurnsPairsAsComplexNumbers) {
  const Sizes n{5, 1, 6, 4, 1};
  const Device device{DeviceKind::reference};
  for (RopeLayout layout : {RopeLayout::interleaved, RopeLayout::half}) {
    const OpCase c = rope_case(n, layout);
    const auto x = c.result(device, DType::f32, "x"), y = c.result(device, DType::f32, "y");
    for (size_t t = 0; t < 5; ++t) {
      EXPECT_EQ(y[t * 6], x[t * 6]);
      EXPECT_EQ(y[t * 6 + 5], x[t * 6 + 5]);
      for (size_t i = 0; i < 2; ++i) {
        const size_t p = t * 6 + 1 + (layout == RopeLayout::half ? i : 2 * i),
                     q = p + (layout == RopeLayout::half ? 2 : 1);
        // theta 100, 4 dims: frequencies 1 and 1/10.
        const auto turned = std::complex(x[p], x[q]) * std::polar(1.0, static_cast<double>(t) * (i == 0 ? 1 : 0.1));
        EXPECT_NEAR(y[p], turned.real(), kVectorBound);
        EXPECT_NEAR(y[q], turned.imag(), kVectorBound);
      }
    }
  }
}

TEST(Rope, WorksInPlace) {
  const Sizes n{7, 3, 9, 4, 3};
  OpCase apart = rope_case(n, RopeLayout::half), in_place = rope_case(n, RopeLayout::half);
  in_place.forward([=](Stream& s, const Tensors& t) {
    fill_rope_table(s, t["table"], {RopeLayout::half, 100, {}});
    rope(s, {.y = t["x"],
             .x = t["x"],
             .positions = t["positions"],
             .table = t["table"],
             .offset = n.offset,
             .layout = RopeLayout::half,
             .direction = RopeDirection::forward});
  });
  EXPECT_EQ(apart.result(Device{}, DType::bf16, "y"), in_place.result(Device{}, DType::bf16, "x"));
}

// DeepSeek-V3: theta 10000, 64 dims, factor 40 over 4096, beta 32 and 1. Pair i turns 4096 / (2 pi theta^(i/32)) times:
// 32 turns at i = 10.47 and one at i = 22.51. So pairs 0-10 keep their frequency, 23-31 slow down 40 times, and a ramp
// of 13 lies between.
TEST(Rope, YarnKeepsFastPairsAndSlowsSlowOnes) {
  const RopeOptions plain, yarn{RopeLayout::interleaved, 10000, {40, 4096, 32, 1, 1, 1}};
  const auto before = rope_frequencies(plain, 64), after = rope_frequencies(yarn, 64);
  auto turns = [&](size_t i) { return 4096 * before[i] / (2 * M_PI); };
  ASSERT_GT(turns(10), 32);
  ASSERT_LT(turns(11), 32);
  ASSERT_GT(turns(22), 1);
  ASSERT_LT(turns(23), 1);
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_NEAR(before[i], std::exp(-std::log(10000.0) * static_cast<double>(i) / 32), kVectorBound);
    const double slowed = i <= 10 ? 0 : i >= 23 ? 1 : static_cast<double>(i - 10) / 13;
    EXPECT_NEAR(after[i] / before[i], 1 - slowed * 39 / 40, kVectorBound) << i;
  }
  EXPECT_NEAR(std::sqrt(rope_softmax_factor(yarn.yarn)), 1.36888, 1e-5);
  EXPECT_EQ(rope_softmax_factor(plain.yarn), 1);
}

// Values of mscale and mscale_all_dim, with the factor of the table and that of the softmax scale. All are what
// transformers 5.24 gives for DeepseekV3Attention, except those for (0, 1), which follow DeepSeek's formula.
TEST(Rope, YarnHasAFactorOfTheTableAndOneOfTheSoftmax) {
  struct Magnitude {
    double factor, mscale, mscale_all_dim, table, softmax;
  };
  for (const Magnitude& m :
       {Magnitude{40, 1, 1, 1, 1.8738542070926265}, Magnitude{40, 0.707, 0.707, 1, 1.5896261651208736},
        Magnitude{40, 1, 0.707, 1.0857263992561355, 1.5896261651208736}, Magnitude{16, 1, 0, 1.2772588722239782, 1},
        Magnitude{40, 0, 1, 0.730519984014812, 1.8738542070926265}, Magnitude{1, 1, 0.5, 1, 1}}) {
    const YarnOptions yarn{m.factor, 4096, 32, 1, m.mscale, m.mscale_all_dim};
    EXPECT_NEAR(rope_table_factor(yarn), m.table, 1e-15);
    EXPECT_NEAR(rope_softmax_factor(yarn), m.softmax, 1e-15);
  }
}

TEST(Rope, YarnMultipliesCosinesAndSinesAlike) {
  Stream stream{Device{DeviceKind::reference}};
  Arena arena(stream.device);
  const Tensor plain = arena.take(DType::f32, {3, 2, 2}), scaled = arena.take(DType::f32, {3, 2, 2});
  RopeOptions options{RopeLayout::half, 100, {40, 8, 32, 1, 0.7, 0.7}};
  fill_rope_table(stream, plain, options);
  options.yarn.mscale = 1.5;
  options.yarn.mscale_all_dim = 1;
  fill_rope_table(stream, scaled, options);
  const auto before = values_of(plain), after = values_of(scaled);
  const double factor = rope_table_factor(options.yarn);
  EXPECT_EQ(before[0], 1);
  EXPECT_GT(factor, 1.1);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_DOUBLE_EQ(after[i], factor * before[i]);
}

TEST(Rope, RefusesWhatDoesNotFit) {
  EXPECT_THROW(rope_case({3, 1, 4, 4, 1}, RopeLayout::half).result(Device{}, DType::f32, "y"), UserError);
  EXPECT_THROW(rope_frequencies({}, 3), UserError);
  OpCase far = rope_case({1, 1, 2, 2, 0}, RopeLayout::half);
  far.index("positions", {29});
  EXPECT_THROW(far.result(Device{}, DType::f32, "y"), UserError);
}

}  // namespace
}  // namespace birkhoff::test

#include "kernels/rope/rope.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/copy.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

// Rotates in place, so the case copies first; the table is made on the case's own device.
OpCase rope_case(int64_t T, int64_t H, int64_t D, int64_t offset, RopeOptions options) {
  std::vector<int64_t> positions(static_cast<size_t>(T));
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int64_t>(i * 7 % 50);
  OpCase c;
  c.activation("x", {T, H, D}).index("positions", positions).output("y", {T, H, D});
  auto run = [=](Stream& s, Tensor to, Tensor from, Tensor at, RopeDirection direction) {
    Arena arena(s.device);
    copy(s, to, from);
    rope(s, {to, make_rope_table(s, arena, options, 50), at, offset, options.pairs, direction});
  };
  c.forward([run](Stream& s, const Tensors& t) { run(s, t["y"], t["x"], t["positions"], RopeDirection::forward); });
  c.backward(
      [run](Stream& s, const Tensors& t) { run(s, t["d_x"], t["d_y"], t["positions"], RopeDirection::inverse); });
  return c;
}

TEST(Rope, CpuEqualsReferenceAndTheInverseIsTheGradient) {
  for (RopePairs pairs : {RopePairs::interleaved, RopePairs::half}) {
    RopeOptions o;
    o.pairs = pairs;
    o.dims = 6;
    for (int64_t T : {0, 1, 33}) {
      const OpCase c = rope_case(T, 3, 11, 4, o);
      c.expect_cpu_equals_reference(2);
      c.expect_gradients({"x"}, {"y"});
    }
  }
}

// Rotary scores depend on the distance of two positions alone.
TEST(Rope, ScoresDependOnDistance) {
  RopeOptions o;
  o.dims = 8;
  Stream s{Device{DeviceKind::reference}};
  Arena arena(s.device);
  const Tensor table = make_rope_table(s, arena, o, 64), x = arena.take(DType::f64, {4, 1, 8});
  std::vector<double> values;
  for (int i = 0; i < 32; ++i) values.push_back(std::sin(i % 16 + 1.0));
  set_values(x, values);  // rows 0 and 2 equal, rows 1 and 3 equal
  const Tensor at = arena.take(DType::i32, {4});
  set_values(at, {3, 10, 40, 47});
  rope(s, {x, table, at});
  const auto y = values_of(x);
  double near = 0, far = 0;
  for (size_t d = 0; d < 8; ++d) {
    near += y[d] * y[8 + d];
    far += y[16 + d] * y[24 + d];
  }
  EXPECT_NEAR(near, far, 1e-6);
}

// The figures follow from the paper's formulas for DeepSeek-V3's long-context settings, worked out by hand: pairs that
// turn more than 32 times in 4096 positions keep their frequency, those that turn less than once are divided by 40.
TEST(Rope, YarnBlendsFrequencies) {
  RopeOptions o;
  o.dims = 64;
  o.yarn.factor = 40;
  const auto plain = [](double i) { return std::pow(10000.0, -2 * i / 64); };
  // 64 ln(4096 / (32 * 2 pi)) / (2 ln 10000) = 10.47 and 64 ln(4096 / (2 pi)) / (2 ln 10000) = 22.51
  EXPECT_NEAR(rope_frequency(o, 10), plain(10), 1e-12);
  EXPECT_NEAR(rope_frequency(o, 23), plain(23) / 40, 1e-12);
  EXPECT_NEAR(rope_frequency(o, 16), plain(16) * (1 - 6.0 / 13 * (1 - 1.0 / 40)), 1e-12);
  EXPECT_NEAR(rope_attention_factor(o.yarn), 1.36888 * 1.36888, 1e-4);
  EXPECT_EQ(rope_attention_factor({}), 1);
}

}  // namespace
}  // namespace birkhoff::test

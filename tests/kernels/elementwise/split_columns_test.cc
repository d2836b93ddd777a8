#include "kernels/elementwise/split_columns.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

OpCase split_case(int64_t T, int64_t A, int64_t B) {
  OpCase c;
  c.activation("x", {T, A + B}).output("left", {T, A}).output("right", {T, B});
  c.forward([](Stream& s, const Tensors& t) { split_columns(s, {t["left"], t["right"], t["x"]}); });
  c.backward([](Stream& s, const Tensors& t) { concat_columns(s, {t["d_x"], t["d_left"], t["d_right"]}); });
  return c;
}

TEST(SplitColumns, SplitsRowsByHand) {
  OpCase c = split_case(2, 1, 2);
  for (const Device device : {Device{}, Device{DeviceKind::reference}}) {
    const auto x = c.result(device, DType::bf16, "x");
    EXPECT_EQ(c.result(device, DType::bf16, "left"), (std::vector<double>{x[0], x[3]}));
    EXPECT_EQ(c.result(device, DType::bf16, "right"), (std::vector<double>{x[1], x[2], x[4], x[5]}));
  }
}

TEST(SplitColumns, CpuEqualsReference) {
  split_case(0, 2, 3).expect_cpu_equals_reference(1);
  split_case(5, 0, 3).expect_cpu_equals_reference(1);
  split_case(7, 33, 1).expect_cpu_equals_reference(1);
}

TEST(SplitColumns, ConcatIsItsBackward) { split_case(4, 3, 5).expect_gradients({"x"}, {"left", "right"}); }

TEST(SplitColumns, RefusesShapesThatDisagree) {
  Arena arena{Device{}};
  Stream stream;
  auto take = [&](Shape shape) { return arena.take(DType::f32, shape); };
  EXPECT_THROW(split_columns(stream, {take({2, 1}), take({2, 2}), take({2, 4})}), UserError);
}

}  // namespace
}  // namespace birkhoff::test

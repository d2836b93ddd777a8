#include "kernels/elementwise/copy.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>

#include "kernels/core/arena.h"
#include "kernels/core/error.h"
#include "kernels/elementwise/random.h"
#include "tests/support/op_case.h"

namespace birkhoff::test {
namespace {

constexpr DType kFloats[] = {DType::f32, DType::bf16, DType::f64};

class Copy : public testing::Test {
 protected:
  Stream stream{Device{}};
  Arena arena{stream.device};
};

TEST_F(Copy, ConvertsBetweenAllFloatingTypesWithOneRounding) {
  for (const DType from : kFloats) {
    for (const DType to : kFloats) {
      // 1 + 2^-9 is not a bf16 number, and 1 + 2^-30 not an f32 number; rounding goes to even.
      const std::vector<double> exact{0, -1.5, 1 + 0x1p-9, 1 + 3 * 0x1p-8, 1 + 0x1p-30, INFINITY};
      const Tensor a = arena.take(from, {2, 3}), b = arena.take(to, {6});
      set_values(a, exact);
      copy(stream, b, a);
      const auto in = values_of(a), out = values_of(b);
      for (size_t i = 0; i < in.size(); ++i) {
        const double expected = to == DType::f64   ? in[i]
                                : to == DType::f32 ? static_cast<double>(static_cast<float>(in[i]))
                                                   : static_cast<double>(bfloat16(static_cast<float>(in[i])));
        EXPECT_EQ(out[i], expected) << from << " to " << to << ", element " << i;
      }
    }
  }
}

TEST_F(Copy, KeepsIntegersAndConvertsOnlyLongOnesToDouble) {
  const Tensor a = arena.take(DType::i64, {3}), b = arena.take(DType::i64, {3}), c = arena.take(DType::f32, {3});
  const Tensor wide = arena.take(DType::f64, {3}), small = arena.take(DType::i32, {3});
  const std::vector<double> counts = {1, -2, (1ll << 40) + 1};
  write_values(stream, a, counts);
  copy(stream, b, a);
  EXPECT_EQ(read_values(stream, b), counts);
  copy(stream, wide, a);
  EXPECT_EQ(read_values(stream, wide), counts);
  EXPECT_EQ(read_together(stream, arena, std::vector<Tensor>{a, wide}), (std::vector{counts, counts}));
  EXPECT_THROW(copy(stream, c, a), BugError);
  EXPECT_THROW(copy(stream, a, wide), BugError);
  EXPECT_THROW(copy(stream, wide, small), BugError);
  EXPECT_THROW(read_values(stream, small), BugError);
  EXPECT_THROW(copy(stream, b, arena.take(DType::i64, {4})), BugError);
}

TEST_F(Copy, OfNothingAndOnMetaDoesNothing) {
  copy(stream, Tensor{}, Tensor{});
  fill(stream, Tensor{}, 3);
  Stream meta{Device{DeviceKind::meta}};
  Arena none{meta.device};
  const Tensor t = none.take(DType::f32, {5});
  copy(meta, t, t);
  fill(meta, t, 3);
  fill_normal(meta, {t, 1, 2, 0, 1});
  EXPECT_EQ(read_values(meta, t), std::vector<double>(5, 0.0));
}

TEST_F(Copy, FillsWithOneValueOfEveryType) {
  for (const DType dtype : kFloats) {
    const Tensor t = arena.take(dtype, {3, 5});
    fill(stream, t, 1 + 0x1p-9);
    const double expected = dtype == DType::bf16 ? 1 : 1 + 0x1p-9;
    EXPECT_THAT(values_of(t), testing::Each(expected)) << dtype;
    fill_zero(stream, t);
    EXPECT_THAT(values_of(t), testing::Each(0.0)) << dtype;
  }
  const Tensor counts = arena.take(DType::i32, {4});
  set_values(counts, {1, 2, 3, 4});
  fill(stream, counts, 0);
  EXPECT_THAT(values_of(counts), testing::Each(0.0));
  EXPECT_THROW(fill(stream, counts, 1), BugError);
}

TEST_F(Copy, MovesBytesToTheHostAndBack) {
  const Tensor t = arena.take(DType::i32, {3});
  const std::vector<int32_t> in{5, -6, 7};
  std::vector<int32_t> out(3);
  from_host(stream, t, in.data());
  to_host(stream, out.data(), t);
  EXPECT_EQ(out, in);
  const Tensor one = arena.take(DType::bf16, {1});
  fill(stream, one, -2.5);
  EXPECT_EQ(read_scalar(stream, one), -2.5);
  EXPECT_THROW(read_scalar(stream, arena.take(DType::f32, {2})), BugError);
}

TEST_F(Copy, WritesValuesRoundedOnceToTheTypeOfTheTensor) {
  const std::vector<double> exact{0.1, -1.0 / 3};
  const Tensor f64 = arena.take(DType::f64, {2}), f32 = arena.take(DType::f32, {2}),
               bf16 = arena.take(DType::bf16, {2});
  for (const Tensor& t : {f64, f32, bf16}) write_values(stream, t, exact);
  EXPECT_EQ(values_of(f64), exact);
  EXPECT_EQ(values_of(f32), (std::vector<double>{0.1f, -1.0f / 3}));
  EXPECT_EQ(values_of(bf16), (std::vector<double>{0.10009765625, -0.333984375}));
  EXPECT_THROW(write_values(stream, f64, {1}), BugError);
}

TEST_F(Copy, DrawsAPartAsItStandsInTheWhole) {
  for (const DType dtype : kFloats) {
    const Tensor whole = arena.take(dtype, {7, 3000}), part = arena.take(dtype, {5000});
    fill_normal(stream, {whole, 11, 12, 0, 0.5});
    fill_normal(stream, {part, 11, 12, 3456, 0.5});
    const auto all = values_of(whole);
    EXPECT_EQ(values_of(part), std::vector<double>(all.begin() + 3456, all.begin() + 8456));
    const double first = static_cast<float>(0.5 * Philox(11, 12).normal(0));
    EXPECT_EQ(all[0], dtype == DType::bf16 ? bfloat16(static_cast<float>(first)) : first);
  }
}

TEST_F(Copy, StartsEveryDeviceFromTheSameNumbers) {
  Stream reference{Device{DeviceKind::reference}};
  const Tensor a = arena.take(DType::f32, {1000}), b = arena.take(DType::f64, {1000});
  fill_normal(stream, {a, 1, 2, 0, 0.02});
  fill_normal(reference, {b, 1, 2, 0, 0.02});
  EXPECT_EQ(values_of(a), values_of(b));
  const std::vector<double> exact(1000, 0.1);
  from_doubles(reference, b, exact.data());
  EXPECT_THAT(values_of(b), testing::Each(static_cast<double>(0.1f)));
}

}  // namespace
}  // namespace birkhoff::test

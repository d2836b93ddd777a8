#include "kernels/core/tensor.h"

#include <cmath>
#include <limits>
#include <sstream>

#include <gmock/gmock.h>

#include "kernels/core/error.h"

namespace birkhoff::test {
namespace {

TEST(Shape, CountsElementsAndRows) {
  const Shape scalar{}, vector{7}, matrix{3, 5}, empty{4, 0, 2};
  EXPECT_EQ(scalar.count(), 1);
  EXPECT_EQ(scalar.back(), 1);
  EXPECT_EQ(vector.rows(), 1);
  EXPECT_EQ(matrix.rows(), 3);
  EXPECT_EQ(matrix.back(), 5);
  EXPECT_EQ(empty.count(), 0);
  EXPECT_EQ(empty.rows(), 0);
}

TEST(Shape, ComparesRankAndDims) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{3, 2}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{2, 3, 1}));
  Shape grown{2};
  grown.append(3);
  EXPECT_EQ(grown, (Shape{2, 3}));
}

TEST(Shape, HoldsFiveDimsAndNoMore) {
  Shape shape{1, 2, 3, 4, 5};
  EXPECT_EQ(shape.count(), 120);
  EXPECT_THROW(shape.append(6), BugError);
  EXPECT_THROW((Shape{1, 2, 3, 4, 5, 6}), BugError);
}

TEST(Shape, PrintsItsDims) {
  std::ostringstream out;
  out << Shape{2, 3} << " " << DType::bf16;
  EXPECT_EQ(out.str(), "[2, 3] bf16");
}

class TensorView : public testing::Test {
 protected:
  float numbers[24] = {};
  Tensor t{numbers, DType::f32, {4, 3, 2}};
};

TEST_F(TensorView, SharesTheMemoryUnderAnotherShape) {
  const Tensor flat = t.view({24});
  EXPECT_EQ(flat.data, t.data);
  EXPECT_EQ(flat.shape, (Shape{24}));
  EXPECT_THROW(t.view({23}), BugError);
}

TEST_F(TensorView, OfRowsBeginsAtTheFirst) {
  const Tensor two = t.rows(1, 2);
  EXPECT_EQ(two.f32(), numbers + 6);
  EXPECT_EQ(two.shape, (Shape{2, 3, 2}));
  EXPECT_EQ(t.rows(4, 0).count(), 0);
  EXPECT_THROW(t.rows(3, 2), BugError);
  EXPECT_THROW(t.rows(-1, 1), BugError);
}

TEST_F(TensorView, OfElementsIsAVector) {
  const Tensor part = t.flat(5, 7);
  EXPECT_EQ(part.f32(), numbers + 5);
  EXPECT_EQ(part.shape, (Shape{7}));
  EXPECT_THROW(t.flat(20, 5), BugError);
}

TEST_F(TensorView, GivesItsElementsAsTheirTypeOnly) {
  EXPECT_THROW(t.as<double>(), BugError);
  EXPECT_THROW(t.as<bfloat16>(), BugError);
  EXPECT_EQ(t.bytes(), 96u);
}

TEST_F(TensorView, OfNoRowsIsPresentUnlikeADefaultTensor) {
  EXPECT_FALSE(Tensor{}.present());
  EXPECT_TRUE((Tensor{numbers, DType::f32, {0, 3}}).present()) << "a tensor without rows is not an absent one";
  EXPECT_TRUE(t.present());
}

TEST(DTypes, HaveNamesAndSizes) {
  const std::pair<DType, size_t> all[] = {{DType::f32, 4}, {DType::bf16, 2}, {DType::f64, 8},
                                          {DType::i32, 4}, {DType::i64, 8},  {DType::u8, 1}};
  for (const auto& [dtype, size] : all) {
    EXPECT_EQ(size_of(dtype), size) << dtype;
    EXPECT_EQ(dtype_of(name_of(dtype)), dtype);
    EXPECT_EQ(is_float(dtype), name_of(dtype).find('f') != std::string_view::npos);
  }
  EXPECT_THROW(dtype_of("f16"), UserError);
}

TEST(Bfloat16, RoundsToNearestAndTiesToEven) {
  const auto rounded = [](float value) { return static_cast<float>(bfloat16(value)); };
  EXPECT_EQ(rounded(1 + 0x1p-8f), 1);                // a tie, 1 is even
  EXPECT_EQ(rounded(1 + 3 * 0x1p-8f), 1 + 0x1p-6f);  // a tie, upwards to even
  EXPECT_EQ(rounded(1 + 0x1.02p-8f), 1 + 0x1p-7f);   // above the tie
  EXPECT_EQ(rounded(-1 - 0x1.02p-8f), -1 - 0x1p-7f);
  EXPECT_EQ(rounded(std::numeric_limits<float>::max()), INFINITY);
  EXPECT_EQ(rounded(-INFINITY), -INFINITY);
  EXPECT_EQ(rounded(0x1p-133f), 0x1p-133f);  // the smallest subnormal
  EXPECT_TRUE(std::signbit(rounded(-0.0f)));
}

TEST(Bfloat16, KeepsEveryBf16NumberAndEveryNaN) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    bfloat16 b;
    b.bits = static_cast<uint16_t>(bits);
    const float value = b;
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(value))));
    } else {
      EXPECT_EQ(bfloat16(value).bits, b.bits);
    }
  }
  // A NaN whose upper half would be an infinity stays a NaN.
  EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(std::bit_cast<float>(0x7f800001u)))));
}

}  // namespace
}  // namespace birkhoff::test

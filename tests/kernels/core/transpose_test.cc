#include "kernels/core/cpu/transpose.h"

#include <vector>

#include <gtest/gtest.h>

namespace birkhoff::test {
namespace {

template <class T>
void expect_transposed(DType dtype, int64_t rows, int64_t columns) {
  std::vector<T> from(static_cast<size_t>(rows * columns)), to(from.size()), expected(from.size());
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<T>(i * 2654435761u);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      expected[static_cast<size_t>(c * rows + r)] = from[static_cast<size_t>(r * columns + c)];
    }
  }
  cpu::transpose({rows, columns, dtype}, to.data(), from.data());
  EXPECT_EQ(to, expected) << dtype << " " << rows << " x " << columns;
}

TEST(Transpose, TakesColumnsOfAWiderMatrix) {
  constexpr int64_t kRows = 70, kColumns = 33, kStride = 100;
  std::vector<uint16_t> from(kRows * kStride), to(kRows * kColumns);
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<uint16_t>(i);
  cpu::transpose({kRows, kColumns, DType::bf16, kStride}, to.data(), from.data() + 5);
  for (size_t c = 0; c < kColumns; ++c) {
    for (size_t r = 0; r < kRows; ++r) EXPECT_EQ(to[c * kRows + r], from[r * kStride + c + 5]) << r << ", " << c;
  }
}

TEST(Transpose, MovesEveryElementForWholeAndOddBlocks) {
  for (const int64_t rows : {0, 1, 7, 16, 32, 33, 100, 256}) {
    for (const int64_t columns : {0, 1, 8, 31, 32, 65, 300}) {
      expect_transposed<uint16_t>(DType::bf16, rows, columns);
      expect_transposed<uint32_t>(DType::f32, rows, columns);
    }
  }
}

}  // namespace
}  // namespace birkhoff::test

#include "kernels/gemm/alignment.h"

#include <cstddef>

#include <gtest/gtest.h>

#include "kernels/core/arena.h"

namespace birkhoff::test {
namespace {

TEST(Alignment, IsTheLargestPowerOfTwoThatDividesTheAddressUpToALimit) {
  alignas(512) std::byte memory[1024] = {};
  EXPECT_EQ(alignment_of(memory), 256u);
  EXPECT_EQ(alignment_of(memory + 512), 256u);
  for (const uint32_t offset : {1u, 2u, 4u, 8u, 16u, 32u, 64u, 128u, 256u}) {
    EXPECT_EQ(alignment_of(memory + offset), offset);
  }
  EXPECT_EQ(alignment_of(memory + 6), 2u);
  EXPECT_EQ(alignment_of(memory + 192), 64u);
  EXPECT_EQ(alignment_of(static_cast<void*>(nullptr)), kMaxAlignment);
}

TEST(Alignment, OfAViewOfOddRowsIsThatOfItsElements) {
  Arena arena{Device{}};
  const Tensor a = arena.take(DType::bf16, {4, 3}), b = arena.take(DType::f32, {3, 5}),
               c = arena.take(DType::f32, {4, 5});
  const GemmAlignment whole = alignment_of(GemmArgs{c, a, b});
  for (const uint32_t alignment : whole) EXPECT_GE(alignment, Arena::kAlignment);
  const GemmAlignment part = alignment_of(GemmArgs{c.rows(1, 3), a.rows(1, 3), b});
  EXPECT_EQ(part, (GemmAlignment{2, whole[1], 4}));
}

}  // namespace
}  // namespace birkhoff::test
